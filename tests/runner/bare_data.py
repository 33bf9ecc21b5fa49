"""A data set with as few labelled images as a test asks for, as a plugin file."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hashbench.data import ImageSet, RetrievalData
from hashbench.plugins import Dataset, dataset


@dataset("bare")
@dataclass(frozen=True)
class Bare(Dataset):
    """Bright quadrants in noise, three classes, 8x8.

    Attributes:
        train: how many of the 24 training images have a label.
        database: how many of the 40 images of the database have one.
    """

    train: int = 0
    database: int = 40

    def load(self, root: Path | None) -> RetrievalData:  # noqa: ARG002 - needs no folder
        """The same pixels each time."""
        rng = np.random.default_rng(0)
        return RetrievalData(
            classes=("a", "b", "c"),
            train=_draw(rng, 24, self.train),
            query=_draw(rng, 8, 8),
            database=_draw(rng, 40, self.database),
        )


def _draw(rng: np.random.Generator, count: int, labelled: int) -> ImageSet:
    images = rng.integers(0, 106, (count, 1, 8, 8))
    kinds = np.arange(count) % 3
    for image, kind in zip(images, kinds, strict=True):
        row, column = 4 * (kind // 2), 4 * (kind % 2)
        image[0, row : row + 4, column : column + 4] += 150
    labels = np.eye(3, dtype=np.uint8)[kinds]
    labels[labelled:] = 0
    return ImageSet(images.astype(np.uint8), labels)
