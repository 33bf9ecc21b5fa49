"""From an image file to pixels. Every file that cannot be used gives one kind of error.

Versions of the decoders may differ in the last bit of a JPEG. What stands for an image in a hash is
therefore its file's bytes and the transform, not the pixels.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BufferedReader, BytesIO
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from PIL.TiffImagePlugin import TiffImageFile

from hashbench import files
from hashbench.characters import shortened, shown
from hashbench.data.cache.headers import (
    Header,
    HeaderError,
    other_format,
    read_header,
    without_text,
)
from hashbench.data.cache.quiet import libtiff, warnings_unheard
from hashbench.data.cache.room import Room
from hashbench.data.cache.transform import Transform
from hashbench.errors import FileError

RULES: Final = 2
"""Version of what is decoded and what is refused: what an earlier one refused is tried again."""

MAX_PIXELS: Final = 46_000_000
"""Most pixels of an image, before and after its resize: Pillow takes four bytes for each."""

MAX_MEMORY: Final = 200_000_000
"""Most bytes that one image takes while it is decoded, its file's among them."""

MAX_BYTES: Final = 1 << 27
"""Largest file that is read."""

MAX_SLOW: Final = 1_000_000
"""Most pixels, and bytes of the file, of an image that Pillow decodes in Python."""

MAX_WORK: Final = 500_000_000
"""Most pixels times passes of a progressive JPEG."""

MAX_REASON: Final = 200
"""Characters of what a decoder says of a file."""

FORMATS = ("JPEG", "PNG", "BMP", "PPM", "GIF", "WEBP", "TIFF")
"""Formats that are decoded. Pillow knows more; some of them start other programs (EPS)."""

# 16-bit grey, 32-bit integers, floats: nothing says how these become 8 bits.
_DEEP = ("I", "F")

_DEEPEST: Final = 16
"""Bits a channel of the deepest images that anybody may ask for."""

_NARROW = ("1", "L", "P")
"""Modes of one byte a pixel; Pillow takes four for all others."""

_BITS, _STRIP_ROWS, _TILE_WIDTH, _TILE_HEIGHT = 258, 278, 322, 323
"""Tags of a TIFF."""

_ROOM: Final = Room(MAX_MEMORY)
_LARGE: Final = 1 << 24
"""A file of more bytes is alone of its kind in memory."""
_ONE_LARGE: Final = threading.Lock()


class BrokenImageError(ValueError):
    """A file is no usable image. The message gives the reason and does not name the file."""


@dataclass(frozen=True)
class FileImage:
    """The result of reading one file.

    Attributes:
        digest: SHA-256 of its bytes; zeros where it could not be read.
        pixels: uint8 (3, crop, crop); None where `fault` says why, or where the digest was known.
        wide: uint8 (3, resize, resize); None unless asked for.
        fault: why there are no pixels; empty where there are some.
    """

    digest: bytes
    pixels: NDArray[np.uint8] | None = None
    wide: NDArray[np.uint8] | None = None
    fault: str = ""


def read_image(path: Path, transform: Transform, *, wide: bool, known: bytes = b"") -> FileImage:
    """Read and decode one file.

    Args:
        path: the file.
        transform: resize and crop.
        wide: also keep the square around the crop.
        known: the digest of the pixels that the caller has; a file of that digest is not decoded.
    """
    try:
        with opened(path) as file:
            return image_of(file.read(MAX_BYTES), transform, wide=wide, known=known)
    except BrokenImageError as error:
        return FileImage(bytes(32), fault=str(error))


def image_of(content: bytes, transform: Transform, *, wide: bool, known: bytes = b"") -> FileImage:
    """Decode the bytes of one image; arguments as for `read_image`."""
    digest = hashlib.sha256(content).digest()
    if digest == known:
        return FileImage(digest)
    try:
        with decoded(content, transform) as image:
            resized = transform.apply(image)
            square = transform.wide(resized) if wide else None
            return FileImage(digest, transform.center(resized), square)
    except BrokenImageError as error:
        return FileImage(digest, fault=str(error))


@contextlib.contextmanager
def opened(path: Path) -> Iterator[BufferedReader]:
    """A regular file of at most `MAX_BYTES`; while it is open, no other large one is.

    Raises:
        BrokenImageError: it is no regular file, is larger, or cannot be read.
    """
    try:
        with files.opened(path, MAX_BYTES) as file:
            large = os.fstat(file.fileno()).st_size > _LARGE
            with _ONE_LARGE if large else contextlib.nullcontext():
                yield file
    except FileError as error:
        raise BrokenImageError(str(error)) from None
    except OSError as error:
        raise BrokenImageError(f"cannot be read ({error.strerror or error})") from None


@contextlib.contextmanager
def decoded(
    content: bytes,
    transform: Transform | None,
    *,
    deep: bool = False,
    look: Callable[[Image.Image], None] | None = None,
) -> Iterator[Image.Image]:
    """An image in RGB, while memory is held for it and for its resize.

    Alpha is dropped, grey and palettes are expanded, CMYK is converted, the first frame is taken,
    and an EXIF orientation is not followed: all as Pillow's `convert("RGB")`, which the papers'
    loaders call. A TIFF that asks to be turned is turned by Pillow itself as it is loaded.

    Args:
        content: the file's bytes.
        transform: will be applied; its result must not be too large either. None: the caller
            resizes to a size of its own, or not at all.
        deep: also take PNG and TIFF of 16 bits a channel, of which the high byte is kept: so Pillow
            reads those in color. A grey one it would cut off at 255 instead.
        look: is shown the image as Pillow reads it, twice: before anything of it is decoded, and
            once it is, before it is converted.

    Raises:
        BrokenImageError: no image, a truncated one, one with more bits a channel, or one whose
            header states more pixels than may be decoded. Both are found in the header.
    """
    if not content:
        raise BrokenImageError("the file has no bytes")
    with contextlib.ExitStack() as held:
        with _told(content, transform):
            header = read_header(content)
            if header.bits > (_DEEPEST if deep else 8):
                raise BrokenImageError(_too_deep(f"{header.bits} bits"))
            lean = without_text(content)
            image = held.enter_context(Image.open(BytesIO(lean), formats=FORMATS))
            size = len(content) + (0 if lean is content else len(lean))
            held.enter_context(_ROOM.taken(_check(image, header, size, transform, deep)))
            if look is not None:
                look(image)
            with libtiff.unheard() if image.format == "TIFF" else contextlib.nullcontext():
                image.load()
            if look is not None:
                look(image)
            # Where it stands, Pillow would look for a colour of the palette that is clear.
            image.info.pop("transparency", None)
            # `convert` copies what is RGB already.
            rgb = image if image.mode == "RGB" else _high_bytes(image).convert("RGB")
        yield rgb


def _high_bytes(image: Image.Image) -> Image.Image:
    """Grey of 16 bits as grey of 8; any other image as it is."""
    if not image.mode.startswith(_DEEP):
        return image
    return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))


@contextlib.contextmanager
def _told(content: bytes, transform: Transform | None) -> Iterator[None]:
    """Turn whatever a decoder says of a file into a `BrokenImageError`, and let it warn nobody."""
    try:
        with warnings_unheard():
            yield
    except BrokenImageError:
        raise
    except HeaderError as error:
        raise BrokenImageError(f"cannot be decoded ({error})") from None
    except Image.DecompressionBombError:
        # Pillow refuses before it says how large the image is.
        if (size := _stated_size(content)) is not None:
            _check_size(size, transform)
        raise BrokenImageError(
            f"its header states more than the {MAX_PIXELS:,} pixels that are decoded"
        ) from None
    except Exception as error:  # a decoder may raise anything on a malformed file
        reason = shown(shortened(str(error).strip(), MAX_REASON)) or type(error).__name__
        if isinstance(error, UnidentifiedImageError):
            reason = "no JPEG, PNG or other known image"
            if name := other_format(content):
                reason = f"{name} is not read; convert it to PNG or JPEG"
        raise BrokenImageError(f"cannot be decoded ({reason})") from None


def _stated_size(content: bytes) -> tuple[int, int] | None:
    """Width and height in the header of an image that Pillow holds for a bomb; nothing is decoded.

    Asks Pillow's readers themselves: its limit is a variable of the whole process, which other
    threads read at this moment.
    """
    for name in FORMATS:
        with contextlib.suppress(Exception):  # as above; here the message is only less precise
            reader, accepts = Image.OPEN[name]
            if accepts is None or accepts(content[:16]) is True:
                with reader(BytesIO(content), "") as image:
                    return image.size
    return None


def _check(
    image: Image.Image, header: Header, size: int, transform: Transform | None, deep: bool
) -> int:
    """Refuse an image that is too large or too deep; nothing of it is decoded yet.

    Args:
        image: opened.
        header: of its file.
        size: of its file, in bytes.
        transform: will be applied, if there is one.
        deep: whether 16 bits a channel are taken.

    Returns:
        The bytes that its decoding takes, the file's among them.
    """
    _check_size(image.size, transform)
    bits = max((header.bits, *_tags(image, _BITS)))
    two_bytes = deep and bits == _DEEPEST and image.format in ("PNG", "TIFF")
    if (image.mode.startswith(_DEEP) or bits > 8) and not (two_bytes and image.mode != "F"):
        raise BrokenImageError(_too_deep(f"{bits} bits" if bits > 8 else f"mode {image.mode}"))
    pixels = image.width * image.height
    if header.slow and max(pixels, size) > MAX_SLOW:
        raise BrokenImageError(
            f"{pixels:,} pixels and {size:,} bytes of a kind of {image.format} that is decoded "
            f"slowly, expected at most {MAX_SLOW:,}; convert it to PNG"
        )
    if header.scans * pixels > MAX_WORK:
        raise BrokenImageError(
            f"a JPEG of {header.scans:,} passes over {pixels:,} pixels is too much work; save it "
            "as a baseline JPEG"
        )
    needed = size + _memory(image, header, size, transform)
    if needed > MAX_MEMORY:
        raise BrokenImageError(
            f"{image.width:,} x {image.height:,} pixels of this kind ({image.format}, "
            f"{image.mode}) take {needed / 1e6:,.0f} MB to decode, more than the "
            f"{MAX_MEMORY / 1e6:,.0f} MB that may be taken; make it smaller"
        )
    return needed


def _memory(image: Image.Image, header: Header, size: int, transform: Transform | None) -> int:
    """Bytes that an image takes at the highest, beside its file's."""
    pixels = image.width * image.height
    source = pixels if image.mode in _NARROW else 4 * pixels
    held = source if image.mode == "RGB" else source + 4 * pixels
    loading = source + int(header.buffered * pixels)
    if image.format == "WEBP":  # its decoder holds three images, and the file once more
        loading = 16 * pixels + size
    if image.format == "TIFF" and image.info.get("compression") != "raw":
        rows = min((image.height, *_tags(image, _STRIP_ROWS)))
        area = max((0, *_tags(image, _TILE_WIDTH))) * max((0, *_tags(image, _TILE_HEIGHT)))
        loading += 4 * (area or image.width * rows)
    width, height = transform.size(*image.size) if transform else image.size
    resizing = 0 if (width, height) == image.size else 4 * width * (image.height + height)
    return max(loading, held + resizing)


def _tags(image: Image.Image, tag: int) -> tuple[int, ...]:
    """The whole numbers of a tag; none where the image is no TIFF or has no such tag."""
    value = image.tag_v2.get(tag, ()) if isinstance(image, TiffImageFile) else ()
    values = value if isinstance(value, tuple) else (value,)
    return tuple(one for one in values if isinstance(one, int))


def _too_deep(found: str) -> str:
    return f"more than 8 bits a channel ({found}); convert it to 8 bits"


def _check_size(size: tuple[int, int], transform: Transform | None) -> None:
    width, height = size
    if width < 1 or height < 1:
        raise BrokenImageError(f"its header states {width} x {height} pixels")
    if width * height > MAX_PIXELS:
        raise BrokenImageError(
            f"its header states {width:,} x {height:,} pixels, more than the {MAX_PIXELS:,} that "
            "are decoded"
        )
    if transform is None:
        return
    wider, higher = transform.size(width, height)
    if wider * higher > MAX_PIXELS:
        raise BrokenImageError(
            f"{width:,} x {height:,} pixels are too long and thin: a short side of "
            f"{transform.resize} makes {wider:,} x {higher:,}"
        )
