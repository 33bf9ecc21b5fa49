"""What the hashes of the package imagehash share: their calls, and the picture made grey and small.

All three hash `picture.convert("L").resize(..., LANCZOS)`.
"""

from __future__ import annotations

from abc import ABC
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from typing_extensions import override

from hashbench.matching import pillow_resize
from hashbench.matching.contract import Hasher
from hashbench.matching.followed import Followed
from hashbench.matching.libraries import check_threshold, library, need

BITS: Final = 64
"""The length of the codes."""

_RED, _GREEN, _BLUE = pillow_resize.GREY
_WHOLE: Final = 1 << pillow_resize.GREY_BITS

COLORS: Final = (_RED / _WHOLE, _GREEN / _WHOLE, _BLUE / _WHOLE)
"""What red, green and blue weigh."""


@dataclass(frozen=True)
class ImageHash(Hasher, ABC):
    """A hash of imagehash, 64 bits, row by row.

    Attributes:
        function: of the library, which gives the verdict.
        threshold: the distance up to which two pictures match.
    """

    packages: ClassVar[tuple[str, ...]] = ("imagehash", "pillow")
    function: ClassVar[str]

    threshold: int = 10

    def __post_init__(self) -> None:
        """Refuse what cannot work, before any work.

        Raises:
            UsageError: an impossible threshold, or imagehash is not installed.
        """
        check_threshold(self.threshold, self.bits)
        need("imagehash", "perceptual", self.card.name)

    @property
    @override
    def bits(self) -> int:
        return BITS

    @override
    def verdict(self, picture: NDArray[np.uint8]) -> NDArray[np.bool_]:
        hashes = library("imagehash", "perceptual", self.card.name)
        answer = getattr(hashes, self.function)(Image.fromarray(picture))
        return np.asarray(answer.hash, dtype=np.bool_).ravel()


def small_greys(pictures: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Return pictures made grey and small, as Pillow makes them.

    Args:
        pictures: (B, H, W, 3), red, green and blue.
        height: rows wanted.
        width: columns wanted.

    Returns:
        (B, height, width).
    """
    # One picture at a time stays in a processor's cache; a batch is several times slower.
    greys = np.stack([pillow_resize.grey(picture) for picture in pictures])
    return pillow_resize.reduced(greys, height, width)


def reduction(height: int, width: int, new_height: int, new_width: int) -> Followed:
    """Return the differentiable `small_greys`: images (B, 3, H, W) to float32 greys of 0 to 255.

    Args:
        height: rows of pixels.
        width: columns of pixels.
        new_height: rows of the small picture.
        new_width: its columns.
    """
    return Followed(
        partial(_floats, height=new_height, width=new_width),
        pillow_resize.shares(height, new_height),
        pillow_resize.shares(width, new_width),
        COLORS,
    )


def _floats(pictures: NDArray[np.uint8], height: int, width: int) -> NDArray[np.float32]:
    """`small_greys` as float32, which holds them exactly."""
    return small_greys(pictures, height, width).astype(np.float32)
