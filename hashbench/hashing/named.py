"""Losses and backbones of which only a name is known: those of models that are given whole."""

from __future__ import annotations

from typing import Final, NoReturn

from typing_extensions import override

from hashbench.characters import shown
from hashbench.errors import UsageError
from hashbench.hashing.backbone import InputSpec
from hashbench.hashing.contract import Backbone, Loss
from hashbench.hashing.setup import LossSetup
from hashbench.plugins.card import Card
from hashbench.plugins.kinds import Kind

UNSTATED: Final = "unstated"
"""What rows say of a loss that nobody named."""

MAX_NAME: Final = 60
"""Characters of a name: it stands in every row and in the names of folders."""


class _Named:
    """What is equal by its name, which stands on a card of its own."""

    card: Card

    def _take(self, kind: Kind, name: str, summary: str) -> None:
        if not name or name != name.strip() or name != shown(name) or len(name) > MAX_NAME:
            raise UsageError(
                f"the name of a {kind} has 1 to {MAX_NAME} characters that can be printed, and no "
                "space before or after them"
            )
        object.__setattr__(self, "card", Card(kind=kind, name=name, summary=summary))

    @override
    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and isinstance(other, _Named) and other.card == self.card

    @override
    def __hash__(self) -> int:
        return hash((type(self), self.card.name))

    @override
    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.card.name!r})"


class NamedLoss(_Named, Loss):
    """A loss of which only the name is known: it stands in rows, and nothing is trained with it."""

    def __init__(self, name: str = UNSTATED) -> None:
        """Take a name, as rows show it.

        Raises:
            UsageError: it cannot be shown.
        """
        self._take(Kind.LOSS, name, "Known by its name alone.")

    @override
    def bind(self, setup: LossSetup) -> NoReturn:
        """Refuse.

        Raises:
            UsageError: always.
        """
        raise UsageError(
            f"of the loss '{self.card.name}' only its name is known, so nothing can be trained "
            "with it"
        )


class NamedBackbone(_Named, Backbone):
    """The network of a model that is given whole; it stands in rows, and none is built from it."""

    def __init__(self, name: str) -> None:
        """Take a name, as rows show it.

        Raises:
            UsageError: it cannot be shown.
        """
        self._take(Kind.BACKBONE, name, "Known by its name alone.")

    @override
    def build(self, images: InputSpec) -> NoReturn:
        """Refuse.

        Raises:
            UsageError: always.
        """
        raise UsageError(
            f"of the network '{self.card.name}' only its name is known, so no other one like it "
            "can be built"
        )
