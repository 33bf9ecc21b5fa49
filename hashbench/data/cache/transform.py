"""The papers' resize and center crop of an image. Pure functions on Pillow.

Torchvision's `Resize(resize)` and `CenterCrop(crop)` on Pillow images are repeated here to the
pixel, without importing torch.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from typing_extensions import override

from hashbench.errors import UsageError

PAPER_RESIZE, PAPER_CROP = 256, 224
_LARGEST = 4096


@dataclass(frozen=True)
class Transform:
    """Resize the short side, then crop the center.

    Attributes:
        resize: short side in pixels; bilinear, with antialiasing where it shrinks.
        crop: side of the square that is kept, at most `resize`.
    """

    resize: int
    crop: int

    def __post_init__(self) -> None:
        if not 1 <= self.crop <= self.resize <= _LARGEST:
            raise UsageError(
                f"crop must lie from 1 to resize, and resize up to {_LARGEST}; "
                f"found resize={self.resize}, crop={self.crop}"
            )

    @classmethod
    def of(cls, resize: int | None, crop: int) -> Transform:
        """With the papers' 256 for a crop of 224; for another crop the crop itself."""
        if resize is None:
            resize = PAPER_RESIZE if crop == PAPER_CROP else crop
        return cls(resize, crop)

    @override
    def __str__(self) -> str:
        return f"short side {self.resize} bilinear, center crop {self.crop}"

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height after the resize; the long side is cut to a whole number."""
        short, long = min(width, height), max(width, height)
        longer = int(self.resize * long / short)
        return (self.resize, longer) if width <= height else (longer, self.resize)

    def apply(self, image: Image.Image) -> Image.Image:
        """Resize an RGB image; one that has its size already stays as it is."""
        size = self.size(*image.size)
        return image if size == image.size else image.resize(size, Image.Resampling.BILINEAR)

    def center(self, resized: Image.Image) -> NDArray[np.uint8]:
        """The center, uint8 (3, crop, crop)."""
        return center_crop(resized, self.crop)

    def wide(self, resized: Image.Image) -> NDArray[np.uint8]:
        """The square that random crops are cut from, uint8 (3, resize, resize).

        The papers cut them from the whole resized photo, which would take files of different
        shapes: what lies outside of its central square is never trained on here.
        """
        return center_crop(resized, self.resize)


def center_crop(image: Image.Image, side: int) -> NDArray[np.uint8]:
    """The central square of an RGB image, uint8 (3, side, side)."""
    # Rounds halves to even, as torchvision does: an odd margin is not always cut the same way.
    left = round((image.width - side) / 2)
    top = round((image.height - side) / 2)
    square = image.crop((left, top, left + side, top + side))
    return np.ascontiguousarray(np.asarray(square, np.uint8).transpose(2, 0, 1))
