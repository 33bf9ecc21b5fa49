"""Backbones with hidden layers of a head between them and the hash layer."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from torch import Tensor, nn
from typing_extensions import override

from hashbench.characters import briefly
from hashbench.errors import UsageError
from hashbench.hashing.answers import bare_of, built
from hashbench.hashing.backbone import BackboneNet, InputSpec
from hashbench.hashing.contract import Backbone
from hashbench.plugins.card import Card
from hashbench.plugins.kinds import Kind
from hashbench.plugins.parameters import canonical

NO_ACTIVATION: Final = "none"

ACTIVATIONS: Final[Mapping[str, type[nn.Module]]] = {
    "relu": nn.ReLU,
    "leaky-relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    NO_ACTIVATION: nn.Identity,
}
"""What may lie between two linear layers, each as torch makes it by default."""

MAX_HIDDEN: Final = 8
MAX_WIDTH: Final = 2**16
"""Hidden layers of a head, and values in one: a card may come from anywhere."""


@dataclass(frozen=True)
class Hidden:
    """A linear layer before the hash layer, and what follows it.

    Attributes:
        width: its outputs.
        activation: one of `ACTIVATIONS`.
    """

    width: int
    activation: str

    def __post_init__(self) -> None:
        if not 1 <= self.width <= MAX_WIDTH or self.activation not in ACTIVATIONS:
            raise UsageError(
                f"'{self.width} {self.activation}' is no hidden layer: expected 1 to "
                f"{MAX_WIDTH:,} outputs and one of {', '.join(ACTIVATIONS)}"
            )

    @classmethod
    def parse(cls, text: str) -> Hidden:
        """Read `256 relu`.

        Raises:
            UsageError: it is none.
        """
        found = re.fullmatch(r"([0-9]{1,6}) ([a-z-]{1,20})", text)
        if found is None:
            raise UsageError(f"'{briefly(text)}' is no hidden layer, such as '256 relu'")
        return cls(int(found[1]), found[2])

    @override
    def __str__(self) -> str:
        return f"{self.width} {self.activation}"


class HeadedBackbone(Backbone):
    """A backbone with hidden layers on top: `resnet18 + 256 relu`."""

    def __init__(self, base: Backbone, hidden: tuple[Hidden, ...]) -> None:
        """Put layers on a backbone.

        Args:
            base: the backbone.
            hidden: at least one, the first one first.

        Raises:
            UsageError: there are too many.
        """
        if not 1 <= len(hidden) <= MAX_HIDDEN:
            raise UsageError(f"a head has 1 to {MAX_HIDDEN} hidden layers, found {len(hidden)}")
        name = " + ".join([canonical(base), *map(str, hidden)])
        card = Card(
            kind=Kind.BACKBONE,
            name=name,
            summary=base.card.summary,
            cite=base.card.cite,
            version=base.card.version,
        )
        for field, value in (("base", base), ("hidden", hidden), ("card", card)):
            object.__setattr__(self, field, value)

    base: Backbone
    hidden: tuple[Hidden, ...]

    @override
    def build(self, images: InputSpec) -> BackboneNet:
        net = built(self.base, images)
        layers: list[nn.Module] = []
        features = net.features
        for one in self.hidden:
            layers += [nn.Linear(features, one.width), ACTIVATIONS[one.activation]()]
            features = one.width
        module = _Headed(net.module, nn.Sequential(*layers))
        return BackboneNet(module, features, net.mean, net.std, net.hash_std)

    @override
    def bare(self) -> HeadedBackbone:
        return HeadedBackbone(bare_of(self.base), self.hidden)

    @override
    def reads(self) -> tuple[Path, ...]:
        """What the backbone reads, and its source, which the source of this class is not."""
        return (*self.base.reads(), Path(inspect.getfile(type(self.base))))

    @override
    def __eq__(self, other: object) -> bool:
        return isinstance(other, HeadedBackbone) and _parts(other) == _parts(self)

    @override
    def __hash__(self) -> int:
        return hash(_parts(self))


class _Headed(nn.Module):
    def __init__(self, base: nn.Module, hidden: nn.Module) -> None:
        super().__init__()
        self.base = base
        self.hidden = hidden

    @override
    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = self.hidden(self.base(images).float())
        return features


def _parts(backbone: HeadedBackbone) -> tuple[Any, ...]:
    return (backbone.base, backbone.hidden)
