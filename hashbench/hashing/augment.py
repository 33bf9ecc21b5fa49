"""Random crops and flips of training images. Numpy on uint8 pixels; draws from its own seed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hashbench.data.images import Pixels
from hashbench.hashing.counter_random import CounterRandom

# Where a data set holds no more of an image than the model sees, it is widened by reflection: by
# 4 pixels at 32, the usual pad for CIFAR-10.
_PAD_SHARE: Final = 8

_SHIFT: Final = 1
_BORDER: Final = ((0, 0), (0, 0), (_SHIFT, _SHIFT), (_SHIFT, _SHIFT))


class Augment(StrEnum):
    """What is done at random to each image of a training batch."""

    NONE = "none"
    FLIP = "flip"
    CROP_FLIP = "crop-flip"
    FLIP_SHIFT = "flip-shift"


def augmented(images: Pixels, wide: Pixels | None, kind: Augment, seed: int) -> Pixels:
    """A train set that answers every reading with fresh random views.

    Args:
        images: (N, C, H, W).
        wide: the same images before their center crop; crops are taken from it where there is one,
            else from the images padded by reflection (an eighth of the side, at every edge).
        kind: `flip` mirrors every other image; `crop-flip` also crops at a uniform place;
            `flip-shift` also moves each by -1, 0 or 1 pixel along both sides, and fills with black.
        seed: two readers of one seed that are asked for the same batches answer the same.
    """
    if kind is Augment.NONE:
        return images
    return _Views(images, wide, kind, CounterRandom([seed]))


@dataclass(frozen=True)
class _Views:
    images: Pixels
    wide: Pixels | None
    kind: Augment
    rng: CounterRandom

    @property
    def shape(self) -> tuple[int, ...]:
        return self.images.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.images.dtype

    def __len__(self) -> int:
        return len(self.images)

    def keeps(self) -> Mapping[str, CounterRandom]:
        """What changes while they are read."""
        return {"generator": self.rng}

    def __getitem__(self, index: slice | NDArray[np.int64]) -> NDArray[np.uint8]:
        crops = self.kind is Augment.CROP_FLIP
        source = self.wide[index] if crops and self.wide is not None else self.images[index]
        if crops:
            source = _crop(source, self.images.shape[2:], self.rng, pad=self.wide is None)
        elif self.kind is Augment.FLIP_SHIFT:
            source = _windows(np.pad(source, _BORDER), self.images.shape[2:], self.rng)
        flipped = self.rng.uniform((len(source),))[0].numpy() < 0.5
        views = source.copy()
        views[flipped] = source[flipped, :, :, ::-1]
        return views


def _crop(
    source: NDArray[np.uint8], size: tuple[int, ...], rng: CounterRandom, *, pad: bool
) -> NDArray[np.uint8]:
    if pad:
        height, width = size
        rows, columns = height // _PAD_SHARE, width // _PAD_SHARE
        edges = ((0, 0), (0, 0), (rows, rows), (columns, columns))
        source = np.pad(source, edges, mode="reflect")
    return _windows(source, size, rng)


def _windows(
    source: NDArray[np.uint8], size: tuple[int, ...], rng: CounterRandom
) -> NDArray[np.uint8]:
    """A window of this size out of each image, at a uniform place."""
    height, width = size
    tops = rng.integers((len(source),), source.shape[2] - height + 1)[0].tolist()
    lefts = rng.integers((len(source),), source.shape[3] - width + 1)[0].tolist()
    views = np.empty((*source.shape[:2], height, width), dtype=np.uint8)
    for view, image, top, left in zip(views, source, tops, lefts, strict=True):
        view[:] = image[:, top : top + height, left : left + width]
    return views
