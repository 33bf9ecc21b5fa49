"""Pictures of a cell for a report: queries, what an attack made of them, what the search returns.

They are no result: no number depends on them, no key does, and they may be deleted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hashbench.results.cell import Cell


@dataclass(frozen=True)
class Hit:
    """One image that a search returns.

    Attributes:
        image: a PNG file.
        place: its place in the database.
        distance: the Hamming distance of its code to the query's.
        relevant: whether it shares a label with the query.
        labels: the names of its classes; their numbers where they have no names.
    """

    image: bytes
    place: int
    distance: int
    relevant: bool
    labels: tuple[str, ...]


@dataclass(frozen=True)
class Exhibit:
    """One query, before and after an attack.

    Attributes:
        query: its place among the queries.
        labels: the names of its classes.
        clean, attacked: the two images, PNG files of 8 bits.
        change: the difference of the two, made larger and centred on grey; a PNG file.
        factor: how much larger.
        before, after: the ten best of the database, the nearest first; equal distances in the
            order of the database.
        precision: average precision (expected order of ties), before and after; `[0, 1]`.
    """

    query: int
    labels: tuple[str, ...]
    clean: bytes
    attacked: bytes
    change: bytes
    factor: float
    before: tuple[Hit, ...]
    after: tuple[Hit, ...]
    precision: tuple[float, float]


@dataclass(frozen=True)
class Gallery:
    """The first queries of one attacked cell."""

    exhibits: tuple[Exhibit, ...]


GalleryReader = Callable[[Cell], Gallery | None]
"""Gives the gallery of a cell; `None` where none was kept, or it cannot be read."""


def no_gallery(cell: Cell) -> Gallery | None:
    """Of results that no folder holds."""
    del cell
    return None
