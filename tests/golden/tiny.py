"""A data set that trains and is searched in milliseconds, as a plugin file.

Four classes of 8x8 grey images, each a bright quadrant in noise: 24 to train, 8 queries, 40 in the
database.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hashbench.data import ImageSet, RetrievalData
from hashbench.plugins import Dataset, dataset


@dataset("tiny")
@dataclass(frozen=True)
class Tiny(Dataset):
    """Bright quadrants in noise: for tests."""

    contrast: int = 150

    def load(self, root: Path | None) -> RetrievalData:  # noqa: ARG002 - needs no folder
        """The same pixels each time."""
        rng = np.random.default_rng(0)
        train, query, rest = (self._draw(rng, count) for count in (24, 8, 16))
        database = ImageSet(
            np.concatenate([train.images, rest.images]), np.concatenate([train.labels, rest.labels])
        )
        return RetrievalData(("a", "b", "c", "d"), train, query, database)

    def _draw(self, rng: np.random.Generator, count: int) -> ImageSet:
        images = rng.integers(0, 256 - self.contrast, (count, 1, 8, 8))
        quadrant = np.arange(count) % 4
        for image, place in zip(images, quadrant, strict=True):
            row, column = 4 * (place // 2), 4 * (place % 2)
            image[0, row : row + 4, column : column + 4] += self.contrast
        labels = np.eye(4, dtype=np.uint8)[quadrant]
        return ImageSet(images.astype(np.uint8), labels)
