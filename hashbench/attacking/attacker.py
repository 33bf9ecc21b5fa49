"""The attacker before a model: what he knows of all the queries, and what he brings along."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from hashbench.attacking.attacked_model import AttackedModel
from hashbench.attacking.contract import Attack
from hashbench.attacking.goal import Goal, Known, OwnModel
from hashbench.hashing.model import HashModel
from hashbench.plugins.card import Knowledge


@dataclass(frozen=True)
class SurrogateModel:
    """A model of the attacker's own, and the queries as its codes show them.

    Attributes:
        model: on the device to compute on.
        known: its `center_codes` and `train_codes` are the surrogate's, (Q, K') and (N, K').
    """

    model: HashModel
    known: Known


@dataclass(frozen=True)
class Attacker:
    """All that there is to know and to have, before the card's filter.

    Attributes:
        known: of all queries, Q rows.
        database_codes: float32 (M, K) of +1 and -1, for attacks that ask for ranked lists.
        surrogate: for attacks that have a model of their own.
        network: of a trained attack, on the device to compute on.
    """

    known: Known
    database_codes: Tensor | None = None
    surrogate: SurrogateModel | None = None
    network: nn.Module | None = None

    def knowing(self, told: Callable[[Known], Known]) -> Attacker:
        """The same with another knowledge, seen through the surrogate as well."""
        own = self.surrogate
        return replace(
            self,
            known=told(self.known),
            surrogate=None if own is None else replace(own, known=told(own.known)),
        )

    def rows(self, part: slice | Tensor) -> Attacker:
        """The attacker of some of the queries; see `Known.rows`."""
        return self.knowing(lambda known: known.rows(part))

    def to(self, device: torch.device | str) -> Attacker:
        """The same with what is known on a device; the networks stay where they are."""
        return self.each(lambda tensor: tensor.to(device))

    def each(self, change: Callable[[Tensor], Tensor]) -> Attacker:
        """The same with every tensor changed; the networks stay as they are."""
        codes = self.database_codes
        return replace(
            self.knowing(lambda known: known.each(change)),
            database_codes=None if codes is None else change(codes),
        )

    def tensors(self) -> dict[str, Tensor]:
        """All there is to know, by its name in messages."""
        found = {f"goal.{name}": one for name, one in self.known.tensors().items()}
        if self.surrogate is not None:
            seen = self.surrogate.known.tensors()
            found |= {f"surrogate's goal.{name}": one for name, one in seen.items()}
        return found

    def goal(
        self,
        attack: Attack,
        own: AttackedModel | None = None,
        knowledge: frozenset[Knowledge] | None = None,
    ) -> Goal:
        """What the attack is told of these queries.

        Args:
            attack: its card says what it may read.
            own: the surrogate behind its counter; without it the attack gets none.
            knowledge: what may be read; by default what the card asks for.
        """
        granted = attack.card.knowledge if knowledge is None else knowledge
        goal = Goal(
            attack=attack.card.name,
            known=self.known,
            with_labels=Knowledge.LABELS in granted,
            with_training=Knowledge.TRAINING in granted,
            aim=attack.aim(),
            network=self.network,
        )
        if self.surrogate is None or own is None:
            return goal
        return replace(goal, own_model=OwnModel(own, replace(goal, known=self.surrogate.known)))
