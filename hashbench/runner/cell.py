"""A cell: the unit of a result, as people read it. Plain data that survives in a plan file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hashbench.plugins.card import Access, Aim

CLEAN = "none"
"""The attack of a cell whose queries are left alone."""


@dataclass(frozen=True, order=True)
class Cell:
    """One row of the results.

    Attributes:
        dataset, loss, backbone, bits, defense, attack, eps, seed: as asked for, plugins by their
            canonical text. `attack` is `none` and `eps` is `0` where queries are left alone.
        protocol: hash of the protocol.
        training: hash of how models were trained and of what they were computed with: cells of two
            trainings do not belong into one table.
    """

    dataset: str
    loss: str
    backbone: str
    bits: int
    defense: str
    attack: str
    eps: str
    seed: int
    protocol: str
    training: str


@dataclass(frozen=True)
class AttackFacts:
    """What reports have to know of an attack.

    Attributes:
        name: the plugin's.
        aim: targeted attacks are scored by their targets, and are no part of the worst case.
        access: how it looks at the model.
        transfers: whether it follows a surrogate instead.
        parameters: every parameter with its value, as plain data.
    """

    name: str
    aim: Aim
    access: Access
    transfers: bool = False
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_plain(cls, fields: Mapping[str, Any]) -> AttackFacts:
        """Read what `dataclasses.asdict` wrote."""
        return cls(**{**fields, "aim": Aim(fields["aim"]), "access": Access(fields["access"])})

    @property
    def white_box(self) -> bool:
        """Whether it follows the attacked model's own gradients."""
        return self.access is Access.GRADIENT and not self.transfers

    @property
    def blind(self) -> bool:
        """Whether it never asks any model, as noise does."""
        return self.access is Access.NONE and not self.transfers
