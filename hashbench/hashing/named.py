"""Losses and backbones of which only a name is known: those of models that are given whole."""

from __future__ import annotations

from typing import ClassVar, Final, NoReturn

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


def is_printable(name: str) -> bool:
    """Whether rows can show a name: 1 to `MAX_NAME` characters, all of which are seen."""
    return 1 <= len(name) <= MAX_NAME and name == shown(name)


class _Named:
    """What is equal by its name, which stands on a card of its own."""

    card: Card
    kind: ClassVar[Kind]

    def __init__(self, name: str) -> None:
        """Take a name, as rows show it.

        Raises:
            UsageError: it cannot be shown.
        """
        if not is_printable(name) or name != name.strip():
            raise UsageError(
                f"the name of a {self.kind} has 1 to {MAX_NAME} characters that can be printed, "
                "and no space before or after them"
            )
        card = Card(kind=self.kind, name=name, summary="Known by its name alone.")
        object.__setattr__(self, "card", card)

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

    kind = Kind.LOSS

    def __init__(self, name: str = UNSTATED) -> None:
        """Take a name, or none.

        Raises:
            UsageError: it cannot be shown.
        """
        super().__init__(name)

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

    kind = Kind.BACKBONE

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
