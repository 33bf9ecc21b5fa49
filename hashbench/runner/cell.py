"""A cell: the unit of a result, as people read it. Plain data that survives in a plan file."""

from __future__ import annotations

from dataclasses import dataclass

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
