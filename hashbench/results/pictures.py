"""Small pictures as PNG files: made from pixels, and looked at before anybody shows them.

A picture may come from a stranger's folder. So it is taken for one only if it has the few parts
that are written here, and no more pixels than are asked for; nothing is inflated to find out.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hashbench.errors import FileError

CHANNELS: Final = (1, 3)
"""Grey and RGB: what a PNG holds without saying more."""

SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"

GREY: Final = 128
"""Where a picture of a change has nothing changed."""

_GREYS: Final = 127
"""Between that and white."""

_HEADER: Final = struct.Struct(">IIBBBBB")
"""Width, height, bits of a sample, colour, and three ways of which PNG knows, or we write, one."""

_COLOURS: Final = (0, 2, 3)
"""Grey, RGB, palette."""

_GREY_STEP: Final = 8
_COLOURS_LEFT: Final = 64
"""Of a thumbnail: more are not seen at that size."""

_PARTS: Final = frozenset((b"IHDR", b"PLTE", b"IDAT", b"IEND"))
"""All that a picture needs. Others hold texts, times and profiles, and may inflate to anything."""


@dataclass(frozen=True)
class Size:
    """What the head of a PNG file says.

    Attributes:
        width, height: in pixels.
        colour: 0 is grey, 2 is RGB, 3 a palette.
    """

    width: int
    height: int
    colour: int


def png(pixels: NDArray[np.uint8]) -> bytes:
    """A picture as a PNG of 8 bits, without any loss.

    Args:
        pixels: uint8 (1, H, W), grey, or (3, H, W), RGB.
    """
    return _encoded(_image(pixels))


def at_most(pixels: NDArray[np.uint8], longest: int) -> NDArray[np.uint8]:
    """A picture whose longer side has so many pixels at most; the same where it has.

    A pixel of a smaller one is the mean of those that it stands for.

    Args:
        pixels: uint8 (1, H, W) or (3, H, W).
        longest: of the longer side.
    """
    height, width = pixels.shape[1:]
    longer = max(height, width)
    if longer <= longest:
        return pixels
    size = tuple(max(1, round(side * longest / longer)) for side in (width, height))
    return _pixels(_image(pixels).resize(size, Image.Resampling.BOX))


def thumbnail(pixels: NDArray[np.uint8], longest: int) -> bytes:
    """A picture to recognise another one by, in few bytes.

    It has 32 greys, or 64 colours of its own where that takes less than all of them. A photograph
    takes a third of the bytes then, a small grey one two thirds.

    Args:
        pixels: uint8 (1, H, W) or (3, H, W).
        longest: of the longer side, in pixels.
    """
    small = at_most(pixels, longest)
    exact = png(small)
    if len(small) == 1:
        steps = np.rint(small / _GREY_STEP) * _GREY_STEP
        fewer = png(np.minimum(steps, 255).astype(np.uint8))
    else:
        fewer = _encoded(_image(small).quantize(_COLOURS_LEFT, method=Image.Quantize.FASTOCTREE))
    return min(exact, fewer, key=len)


def change(clean: bytes, attacked: bytes, factor: float) -> bytes:
    """The difference of two pictures, made larger: grey where nothing was changed.

    Args:
        clean: a PNG file, grey or RGB, that `size_of` has let through.
        attacked: another one of the same size.
        factor: how much larger.

    Raises:
        FileError: they are damaged inside.
    """
    moved = np.rint(GREY + factor * _difference(clean, attacked))
    return png(np.clip(moved, 0, 255).astype(np.uint8))


def largest_change(clean: bytes, attacked: bytes) -> int:
    """By how much two pictures differ where they do most, from 0 to 255; as for `change`."""
    return int(np.abs(_difference(clean, attacked)).max(initial=0))


def filling(clean: bytes, attacked: bytes) -> float:
    """How much larger a change has to be shown for the largest of its values to fill the greys.

    Raises:
        FileError: the pictures are damaged inside; as for `change`.
    """
    return _GREYS / (largest_change(clean, attacked) or _GREYS)


def _difference(clean: bytes, attacked: bytes) -> NDArray[np.int64]:
    one, other = (_pixels(_decoded(content)).astype(np.int64) for content in (clean, attacked))
    return other - one


def size_of(content: bytes, longest: int) -> Size:
    """The size of a picture, once it is known to be one that may be shown.

    Args:
        content: of a file.
        longest: what its longer side may have, in pixels.

    Raises:
        FileError: it is no PNG file of 8 bits, has other parts than such a picture needs, or is
            larger.
    """
    if not content.startswith(SIGNATURE):
        raise FileError("it is no PNG file")
    parts = list(_parts(content))
    names = [name for name, _ in parts]
    head = parts[0][1] if parts else b""
    if not names or names[0] != b"IHDR" or len(head) != _HEADER.size:
        raise FileError("it does not begin as a PNG file does")
    width, height, depth, colour, *ways = _HEADER.unpack(head)
    if depth != 8 or colour not in _COLOURS or any(ways):
        raise FileError("it is no PNG file of 8 bits")
    palette = [b"PLTE"] if colour == 3 else []
    pixels = len(names) - 2 - len(palette)
    if pixels < 1 or names != [b"IHDR", *palette, *[b"IDAT"] * pixels, b"IEND"] or parts[-1][1]:
        raise FileError("it has other parts than a plain picture")
    if not 0 < max(width, height) <= longest or not min(width, height):
        raise FileError(f"it has {width:,} x {height:,} pixels, expected at most {longest} a side")
    return Size(width, height, colour)


def _parts(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The parts of a PNG file: name and content.

    Raises:
        FileError: one is not known or not whole, or something stands behind the last one.
    """
    at = len(SIGNATURE)
    while at < len(content):
        length = int.from_bytes(content[at : at + 4], "big")
        name, data = content[at + 4 : at + 8], content[at + 8 : at + 8 + length]
        sum_ = content[at + 8 + length : at + 12 + length]
        if name not in _PARTS:
            raise FileError("it has other parts than a plain picture")
        if sum_ != zlib.crc32(name + data).to_bytes(4, "big"):
            raise FileError("it is damaged, or not whole")
        yield name, data
        at += 12 + length


def _image(pixels: NDArray[np.uint8]) -> Image.Image:
    plain = pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0)
    return Image.fromarray(np.ascontiguousarray(plain))


def _pixels(image: Image.Image) -> NDArray[np.uint8]:
    found = np.asarray(image, dtype=np.uint8)
    return found[np.newaxis] if found.ndim == 2 else found.transpose(2, 0, 1)


def _encoded(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return buffer.getvalue()


def _decoded(content: bytes) -> Image.Image:
    try:
        with Image.open(io.BytesIO(content), formats=("PNG",)) as image:
            image.load()
            return image.copy()
    except (OSError, SyntaxError, ValueError, zlib.error) as error:
        raise FileError(f"a picture is damaged inside ({type(error).__name__})") from None
