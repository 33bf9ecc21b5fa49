"""Random crops and flips of training images. Numpy on uint8 pixels; draws from its own seed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hashbench.data.images import Pixels

# Where a data set holds no more of an image than the model sees, it is widened by reflection: by
# 4 pixels at 32, the usual pad for CIFAR-10.
_PAD_SHARE: Final = 8


class Augment(StrEnum):
    """What is done at random to each image of a training batch."""

    NONE = "none"
    FLIP = "flip"
    CROP_FLIP = "crop-flip"


def augmented(images: Pixels, wide: Pixels | None, kind: Augment, seed: int) -> Pixels:
    """A train set that answers every reading with fresh random views.

    Args:
        images: (N, C, H, W).
        wide: the same images before their center crop; crops are taken from it where there is one,
            else from the images padded by reflection (an eighth of the side, at every edge).
        kind: `flip` mirrors every other image; `crop-flip` also crops at a uniform place.
        seed: two readers of one seed that are asked for the same batches answer the same.
    """
    if kind is Augment.NONE:
        return images
    return _Views(images, wide, kind, np.random.default_rng(seed))


@dataclass(frozen=True)
class _Views:
    images: Pixels
    wide: Pixels | None
    kind: Augment
    rng: np.random.Generator

    @property
    def shape(self) -> tuple[int, ...]:
        return self.images.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.images.dtype

    def __len__(self) -> int:
        return len(self.images)

    def keeps(self) -> Mapping[str, np.random.Generator]:
        """What changes while they are read."""
        return {"generator": self.rng}

    def __getitem__(self, index: slice | NDArray[np.int64]) -> NDArray[np.uint8]:
        crops = self.kind is Augment.CROP_FLIP
        source = self.wide[index] if crops and self.wide is not None else self.images[index]
        if crops:
            source = _crop(source, self.images.shape[2:], self.rng, pad=self.wide is None)
        flipped = self.rng.random(len(source)) < 0.5
        views = source.copy()
        views[flipped] = source[flipped, :, :, ::-1]
        return views


def _crop(
    source: NDArray[np.uint8], size: tuple[int, ...], rng: np.random.Generator, *, pad: bool
) -> NDArray[np.uint8]:
    height, width = size
    if pad:
        rows, columns = height // _PAD_SHARE, width // _PAD_SHARE
        edges = ((0, 0), (0, 0), (rows, rows), (columns, columns))
        source = np.pad(source, edges, mode="reflect")
    tops = rng.integers(0, source.shape[2] - height + 1, len(source))
    lefts = rng.integers(0, source.shape[3] - width + 1, len(source))
    views = np.empty((*source.shape[:2], height, width), dtype=np.uint8)
    for view, image, top, left in zip(views, source, tops, lefts, strict=True):
        view[:] = image[:, top : top + height, left : left + width]
    return views
