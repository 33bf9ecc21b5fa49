"""The size that pictures are brought to, and how: by Pillow's bicubic, and its real values."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from typing_extensions import override

from hashbench.characters import briefly
from hashbench.errors import UsageError
from hashbench.matching.pictures import PARTS

OWN: Final = "own"
"""The word for the size that each picture has."""

_SIDE: Final = 256
_LONGEST: Final = 4096
_TEXT: Final = re.compile(r"([0-9]{1,9})x([0-9]{1,9})")


@dataclass(frozen=True)
class Size:
    """Width and height that every picture is brought to, whatever its shape was; or its own.

    Attributes:
        width: in pixels; 0 keeps the picture's own size.
        height: in pixels; 0 where the width is 0, and only there.
    """

    width: int = _SIDE
    height: int = _SIDE

    def __post_init__(self) -> None:
        """Refuse a size that no picture is brought to.

        Raises:
            UsageError: a side is not from 1 to 4096.
        """
        if (self.width, self.height) == (0, 0):
            return
        if not (1 <= self.width <= _LONGEST and 1 <= self.height <= _LONGEST):
            raise UsageError(
                f"size {self.width}x{self.height}: expected sides from 1 to {_LONGEST} pixels, "
                f"or '{OWN}'"
            )

    @classmethod
    def of(cls, text: str) -> Size:
        """Read `256x256` (width first) or `own`.

        Raises:
            UsageError: it is neither, or a side is not from 1 to 4096.
        """
        if text == OWN:
            return cls(0, 0)
        found = _TEXT.fullmatch(text)
        if found is None:
            raise UsageError(
                f"size '{briefly(text)}': expected WIDTHxHEIGHT, such as 256x256, or '{OWN}'"
            )
        if found[0] == "0x0":
            raise UsageError(f"size 0x0: expected sides from 1 to {_LONGEST} pixels, or '{OWN}'")
        return cls(int(found[1]), int(found[2]))

    @property
    def own(self) -> bool:
        """Whether every picture keeps its own."""
        return self.width == 0

    @override
    def __str__(self) -> str:
        return OWN if self.own else f"{self.width}x{self.height}"


def values_at(image: Image.Image, size: Size) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """The values of a picture at a size, as `Picture` keeps them.

    A picture that keeps its size keeps its whole steps. Any other becomes the file that Pillow's
    bicubic makes of it in 8 bits, and its real values are those of the same resizing in 32-bit
    floats: `x` is kept as `floor(256 (x + 1/2))`. Pillow rounds between its two passes too, so that
    the file may be a step away from the nearest one; `x` is then moved to where it rounds to the
    file. What the cubic throws beyond black and white is cut off.

    Args:
        image: of mode RGB.
        size: to bring it to.

    Returns:
        (H, W, 3): uint8 where the size is the picture's own, else uint16.
    """
    if size.own or image.size == (size.width, size.height):
        return np.array(image, dtype=np.uint8)
    wanted = (size.width, size.height)
    saved = np.asarray(image.resize(wanted, Image.Resampling.BICUBIC)).astype(np.float64)
    values = np.empty((size.height, size.width, 3), np.uint16)
    for channel in range(3):
        one = image.getchannel(channel).convert("F").resize(wanted, Image.Resampling.BICUBIC)
        parts = np.floor((np.asarray(one, np.float64) + 0.5) * PARTS)
        lowest = saved[:, :, channel] * PARTS
        values[:, :, channel] = np.clip(parts, lowest, lowest + PARTS - 1)
    return values
