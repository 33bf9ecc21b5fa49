"""The data set `outfits`: several embedded garments in one image, for multi-label retrieval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from hashbench.data.fixed_order import fixed_order
from hashbench.data.garments.embedded_file import embedded
from hashbench.data.garments.garments import CLASSES, EPS, SIDE, Garments
from hashbench.data.images import ImageSet, RetrievalData
from hashbench.eps import Eps
from hashbench.plugins import Dataset, dataset
from hashbench.seeds import seed_of

DATABASE, TRAIN, QUERY = 10_000, 2_000, 500
CELLS = 4
EMPTY = -1
HALF = SIDE // 2

Layout = tuple[int, ...]
"""What lies in the four cells (row by row): the position of a garment, or `EMPTY`."""


def draw_layouts(count: int, pool: Sequence[int], taken: set[Layout], rng: Random) -> list[Layout]:
    """Draw outfits: one to three garments, uniform, with replacement, in distinct cells.

    An outfit that was drawn before is drawn anew, so that no image comes twice.

    Args:
        count: how many.
        pool: positions of the garments to draw from.
        taken: outfits drawn so far; the new ones are added.
        rng: only its `random()` is called, the one method that Python promises to keep the same.
    """

    def below(limit: int) -> int:
        return int(rng.random() * limit)

    layouts: list[Layout] = []
    while len(layouts) < count:
        free = list(range(CELLS))
        cells = [EMPTY] * CELLS
        for _ in range(1 + below(3)):
            cells[free.pop(below(len(free)))] = pool[below(len(pool))]
        layout = tuple(cells)
        if layout not in taken:
            taken.add(layout)
            layouts.append(layout)
    return layouts


def compose(layouts: Sequence[Layout], garments: Garments) -> ImageSet:
    """Put garments on a black 56x56 canvas of 2x2 cells and mean-pool it to 28x28.

    A pooled pixel is the mean of 2x2 pixels, rounded to the nearest, halves up. An image's labels
    are the union of its garments' labels.

    Args:
        layouts: the outfits.
        garments: what their positions point into.
    """
    # A cell's border lies on an even pixel: to pool the garments is to pool the canvas.
    sums = garments.images.reshape(-1, HALF, 2, HALF, 2).sum(axis=(2, 4), dtype=np.uint16)
    pooled = ((sums + 2) // 4).astype(np.uint8)
    where: NDArray[np.int64] = np.array(layouts, dtype=np.int64).reshape(-1, CELLS)
    images = np.zeros((len(where), 1, SIDE, SIDE), np.uint8)
    labels = np.zeros((len(where), len(CLASSES)), np.uint8)
    for cell in range(CELLS):
        filled = np.flatnonzero(where[:, cell] != EMPTY)
        inside = where[filled, cell]
        top, left = HALF * (cell // 2), HALF * (cell % 2)
        images[filled, 0, top : top + HALF, left : left + HALF] = pooled[inside]
        labels[filled, garments.labels[inside]] = 1
    return ImageSet(images, labels)


@dataset("outfits", cite="Xiao et al., Fashion-MNIST, 2017, https://arxiv.org/abs/1708.07747")
@dataclass(frozen=True)
class Outfits(Dataset):
    """One to three garments per image, labels their union: multi-label, ships with the package.

    10,000 database images, 2,000 of them the train set, 500 queries; grey, (1, 28, 28), garments in
    distinct cells of a 2x2 grid. Database outfits are made of `fashion`'s database garments,
    train outfits of its train garments alone, query outfits of its query garments. A random order
    scores 0.32, close to MS-COCO's 0.35.
    """

    eps: ClassVar[Eps] = EPS

    @override
    def load(self, root: Path | None) -> RetrievalData:
        """The three splits, in arrays that the caller owns.

        Raises:
            UsageError: the embedded file is missing or damaged.
        """
        garments = embedded()
        taken: set[Layout] = set()
        train = draw_layouts(TRAIN, garments.train.tolist(), taken, _random("train"))
        everything = range(len(garments.database))
        drawn = train + draw_layouts(DATABASE - TRAIN, everything, taken, _random("database"))
        query = draw_layouts(QUERY, range(len(garments.query)), set(), _random("query"))
        order = fixed_order("hashbench outfits order", DATABASE)
        is_train = np.flatnonzero(order < TRAIN)
        database = compose([drawn[index] for index in order], garments.database)
        return RetrievalData(
            classes=CLASSES,
            train=ImageSet(database.images[is_train], database.labels[is_train]),
            query=compose(query, garments.query),
            database=database,
        )


def _random(split: str) -> Random:
    return Random(seed_of("outfits", split))  # noqa: S311 - nothing secret is drawn
