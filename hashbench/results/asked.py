"""What the runs of a folder were asked for, one after the other. Plain data."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from hashbench.results.cell import Cell


@dataclass(frozen=True)
class Asked:
    """What one run was asked for.

    Attributes:
        folder: of results, as it was named.
        suite: the name of its suite; empty where a plan does not say.
        cells: all of them, clean ones included.
    """

    folder: str
    suite: str
    cells: frozenset[Cell]


def last_of_each(asked: Iterable[Asked]) -> tuple[Asked, ...]:
    """The last run of every folder.

    Args:
        asked: the runs, each after those that were asked for before it.
    """
    return tuple({run.folder: run for run in asked}.values())
