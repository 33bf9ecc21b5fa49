"""Images with labels, and the three splits of a retrieval data set. Numpy only; reads nothing."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from hashbench.errors import UsageError

# Images that are read at a time where all of them are.
_DIGEST_IMAGES = 500


class Pixels(Protocol):
    """Images that are read part by part: an array, or a view of a file on the disk."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, C, H, W)."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """uint8."""

    def __len__(self) -> int:
        """N."""

    def __getitem__(self, index: slice | NDArray[np.int64]) -> NDArray[np.uint8]:
        """The images of a slice, or of an array of positions, in its order."""


@dataclass(frozen=True)
class ImageSet:
    """Images and their labels, in a fixed order.

    Attributes:
        images: uint8 (N, C, H, W); `images / 255` is what a model sees.
        labels: uint8 (N, classes), multi-hot 0/1.
        content: the SHA-256 of what the images were made from and of how; empty takes the pixels'
            own, which means to read them all.
        wide: the same images before their center crop, uint8 (N, C, H', W'), for trainings that
            crop at random; None where nothing is left outside of the crop, or none was kept.
    """

    images: Pixels
    labels: NDArray[np.uint8]
    content: str = ""
    wide: Pixels | None = None

    def __post_init__(self) -> None:
        if len(self.images.shape) != 4 or self.images.dtype != np.uint8:
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
        if self.wide is not None and len(self.wide) != len(self.images):
            raise UsageError(f"there are {len(self.images)} images, but {len(self.wide)} wide ones")

    def __len__(self) -> int:
        return len(self.images)

    @property
    def classes(self) -> int:
        """Number of label columns."""
        return int(self.labels.shape[1])

    def digest(self) -> str:
        """SHA-256 over shapes, pixels and labels: equal sets have equal digests on any machine."""
        digest = hashlib.sha256()
        digest.update(f"{self.images.dtype.str}{self.images.shape}".encode())
        if self.content:
            digest.update(self.content.encode())
        else:
            for start in range(0, len(self), _DIGEST_IMAGES):
                part = self.images[start : start + _DIGEST_IMAGES]
                digest.update(np.ascontiguousarray(part).data)
        digest.update(f"{self.labels.dtype.str}{self.labels.shape}".encode())
        digest.update(np.ascontiguousarray(self.labels).data)
        return digest.hexdigest()


SPLITS: Final = ("train", "query", "database")
"""The names of the splits of a data set."""


@dataclass(frozen=True)
class RetrievalData:
    """One data set in its split.

    Attributes:
        classes: the names of the label columns.
        train: what models are trained on, and what an attacker's center codes come from.
        query: the images that are searched with, and attacked.
        database: what is searched; it may contain the train set, and should hold no query.
        transform: how the images were made from their files, in words; part of the protocol.
        excluded: how many broken images were left out.
        roles: which parts of the user's own data the three splits were made of, or how they were
            drawn, in words; part of the protocol. Empty where the data set's name says it.
        found_again: queries that find themselves: the database holds a file of the same bytes, or
            for images that were no files the same pixels. Reports say it.
    """

    classes: tuple[str, ...]
    train: ImageSet
    query: ImageSet
    database: ImageSet
    transform: str = "none"
    excluded: int = 0
    roles: str = ""
    found_again: int = 0

    def __post_init__(self) -> None:
        for name in SPLITS:
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
