"""A gallery made by hand for formats to show: tiny pictures of one query before and after."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

import numpy as np

from hashbench.results.cell import Cell
from hashbench.results.gallery import Exhibit, Gallery, GalleryReader, Hit
from hashbench.results.pictures import change, png

FACTOR: Final = 127 / 8
_HITS: Final = 10


def sample_gallery(labels: tuple[str, ...] = ("cat", "dog")) -> Gallery:
    """Two queries, a grey one and one in colours; what they find, the right ones first.

    Args:
        labels: names of the classes, two at least.
    """
    return Gallery(tuple(_exhibit(query, labels) for query in range(2)))


def reader_of(cells: Collection[Cell], gallery: Gallery) -> GalleryReader:
    """Gives the same gallery for each of some cells, and none for others."""
    known = frozenset(cells)
    return lambda cell: gallery if cell in known else None


def _exhibit(query: int, labels: tuple[str, ...]) -> Exhibit:
    channels = (1, 3)[query]
    clean = _picture(channels, 60 + 40 * query)
    attacked = _picture(channels, 64 + 40 * query)
    own, other = labels[:1], labels[1:]
    return Exhibit(
        query=query,
        labels=own,
        clean=clean,
        attacked=attacked,
        change=change(clean, attacked, FACTOR),
        factor=FACTOR,
        before=tuple(_hit(place, place // 4, own, relevant=True) for place in range(_HITS)),
        after=(
            *(_hit(place + 5, place // 3, other, relevant=False) for place in range(_HITS - 1)),
            _hit(4, 4, own, relevant=True),
        ),
        precision=(0.9, 0.1),
    )


def _hit(place: int, distance: int, labels: tuple[str, ...], *, relevant: bool) -> Hit:
    return Hit(
        image=_picture(1, 10 * place),
        place=place,
        distance=distance,
        relevant=relevant,
        labels=labels,
    )


def _picture(channels: int, value: int) -> bytes:
    """A square of one value with a brighter corner."""
    pixels = np.full((channels, 8, 8), value, np.uint8)
    pixels[:, :4, :4] += 40
    return png(pixels)
