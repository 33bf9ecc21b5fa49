"""Images with labels, and the three splits of a retrieval data set. Numpy only; reads nothing."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashbench.errors import UsageError


@dataclass(frozen=True)
class ImageSet:
    """Images and their labels, in a fixed order.

    Attributes:
        images: uint8 (N, C, H, W); `images / 255` is what a model sees.
        labels: uint8 (N, classes), multi-hot 0/1.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.uint8]

    def __post_init__(self) -> None:
        if self.images.ndim != 4 or self.images.dtype != np.uint8:
            raise UsageError(
                "images must be uint8 of shape (N, C, H, W), "
                f"found {self.images.dtype} {self.images.shape}"
            )
        if self.labels.ndim != 2 or len(self.labels) != len(self.images):
            raise UsageError(
                f"labels must have shape ({len(self.images)}, classes), found {self.labels.shape}"
            )
        if self.labels.dtype != np.uint8 or self.labels.max(initial=0) > 1:
            raise UsageError("labels must be uint8 0 or 1")

    def __len__(self) -> int:
        return len(self.images)

    @property
    def classes(self) -> int:
        """Number of label columns."""
        return int(self.labels.shape[1])

    def digest(self) -> str:
        """SHA-256 over shapes, pixels and labels: equal sets have equal digests on any machine."""
        digest = hashlib.sha256()
        array: NDArray[Any]
        for array in (self.images, self.labels):
            digest.update(f"{array.dtype.str}{array.shape}".encode())
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()


@dataclass(frozen=True)
class RetrievalData:
    """One data set in its split.

    Attributes:
        classes: the names of the label columns.
        train: what models are trained on, and what an attacker's center codes come from.
        query: the images that are searched with, and attacked.
        database: what is searched; it may contain the train set, never a query.
    """

    classes: tuple[str, ...]
    train: ImageSet
    query: ImageSet
    database: ImageSet

    def __post_init__(self) -> None:
        for name in ("train", "query", "database"):
            part: ImageSet = getattr(self, name)
            if not len(part):
                raise UsageError(f"the {name} split is empty")
            if part.classes != len(self.classes):
                raise UsageError(
                    f"the {name} split has {part.classes} label columns, "
                    f"but there are {len(self.classes)} class names"
                )
            if part.images.shape[1:] != self.database.images.shape[1:]:
                raise UsageError(
                    f"the {name} images have shape {part.images.shape[1:]}, "
                    f"the database's {self.database.images.shape[1:]}"
                )
