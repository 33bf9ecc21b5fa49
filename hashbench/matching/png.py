"""PNG files of 8 bits: what an attacker saves, and what everybody else reads again."""

from __future__ import annotations

import zlib
from io import BytesIO
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hashbench.errors import FileError

_COMPRESSION: Final = 6
"""Zlib's level, named so that no default of another version makes other bytes."""


def png_of(pixels: NDArray[np.uint8], *, compression: int = _COMPRESSION) -> bytes:
    """A picture as a PNG, without any loss: no texts, no time, no colour profile.

    The same pixels give the same bytes, as long as Pillow and its zlib are the same.

    Args:
        pixels: (H, W, 3) uint8, red, green and blue.
        compression: zlib's level, 0 to 9; it changes the bytes, and no pixel.
    """
    buffer = BytesIO()
    image = Image.fromarray(np.ascontiguousarray(pixels))
    image.save(buffer, format="PNG", compress_level=compression)
    return buffer.getvalue()


def pixels_of(content: bytes) -> NDArray[np.uint8]:
    """The pixels of a PNG that `png_of` made, (H, W, 3) uint8.

    Args:
        content: the file's bytes.

    Raises:
        FileError: it is no PNG, is damaged, or holds no plain red, green and blue.
    """
    try:
        with Image.open(BytesIO(content), formats=("PNG",)) as image:
            mode = image.mode
            pixels = np.array(image, dtype=np.uint8)
    except (OSError, SyntaxError, ValueError, zlib.error, Image.DecompressionBombError) as error:
        raise FileError(f"it is no sound PNG ({type(error).__name__})") from None
    if mode != "RGB":
        raise FileError(f"it is a PNG of mode {mode}, expected RGB")
    return pixels
