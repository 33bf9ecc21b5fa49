"""Garments: grey 28x28 images of ten classes, and a retrieval split of them. Pure data."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hashbench.data.images import ImageSet, RetrievalData
from hashbench.eps import Eps

CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
"""The ten classes of Fashion-MNIST, by label (Xiao, Rasul and Vollgraf 2017, table 2)."""

SIDE = 28
"""Height and width of an image in pixels."""

EPS = Eps.parse("24/255")
"""The radius that data sets of garments take by default: at 8/255, the usual one for photos, a grey
28x28 garment hardly moves."""


@dataclass(frozen=True)
class Garments:
    """Images with one label each.

    Attributes:
        images: uint8 (N, 28, 28), black background.
        labels: uint8 (N,), positions in `CLASSES`.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.images)

    def take(self, positions: NDArray[np.int64]) -> Garments:
        """The garments at these positions, in their order; copies."""
        return Garments(self.images[positions], self.labels[positions])

    def contents(self) -> frozenset[bytes]:
        """The pixels of every image: two images are the same when these are."""
        return frozenset(image.tobytes() for image in self.images)

    def image_set(self) -> ImageSet:
        """Images (N, 1, 28, 28) and one-hot labels (N, 10), in memory of their own."""
        one_hot = np.eye(len(CLASSES), dtype=np.uint8)[self.labels]
        return ImageSet(self.images[:, np.newaxis].copy(), one_hot)


@dataclass(frozen=True)
class GarmentSplit:
    """Garments to search with and in.

    Attributes:
        database: what is searched.
        train: int64 (T,), ascending positions of the train set in the database.
        query: what is searched with.
    """

    database: Garments
    train: NDArray[np.int64]
    query: Garments

    def retrieval_data(self) -> RetrievalData:
        """The three splits with one-hot labels; every call makes arrays of its own."""
        return RetrievalData(
            classes=CLASSES,
            train=self.database.take(self.train).image_set(),
            query=self.query.image_set(),
            database=self.database.image_set(),
        )
