"""From an image file to pixels. Every file that cannot be used gives one kind of error.

Versions of the decoders may differ in the last bit of a JPEG. What stands for an image in a hash is
therefore its file's bytes and the transform, not the pixels.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from hashbench.data.cache.transform import Transform

MAX_PIXELS = 89_478_485
"""Most pixels of an image, before and after its resize: 256 MiB in three channels. It is also where
Pillow begins to warn."""

MAX_BYTES = 1 << 28
"""Largest file that is read."""

FORMATS = ("JPEG", "PNG", "BMP", "PPM", "GIF", "WEBP", "TIFF")
"""Formats that are decoded. Pillow knows more; some of them start other programs (EPS)."""

# 16-bit grey, 32-bit integers, floats: nothing says how these become 8 bits.
_DEEP = ("I", "F")


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
        content = read_content(path)
    except BrokenImageError as error:
        return FileImage(bytes(32), fault=str(error))
    digest = hashlib.sha256(content).digest()
    if digest == known:
        return FileImage(digest)
    try:
        resized = transform.apply(decode(content, transform))
        square = transform.wide(resized) if wide else None
        return FileImage(digest, transform.center(resized), square)
    except BrokenImageError as error:
        return FileImage(digest, fault=str(error))


def read_content(path: Path) -> bytes:
    """The bytes of a regular file of at most `MAX_BYTES`.

    Raises:
        BrokenImageError: it is no regular file, is larger, or cannot be read.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # a named pipe must not be waited for
        with os.fdopen(handle, "rb") as file:
            status = os.fstat(handle)
            if not stat.S_ISREG(status.st_mode):
                raise BrokenImageError("not a regular file")
            if status.st_size > MAX_BYTES:
                raise BrokenImageError(
                    f"{status.st_size:,} bytes, more than the {MAX_BYTES:,} that are read"
                )
            return file.read()
    except OSError as error:
        raise BrokenImageError(f"cannot be read ({error.strerror or error})") from None


def decode(content: bytes, transform: Transform) -> Image.Image:
    """Decode an image to RGB.

    Alpha is dropped, grey and palettes are expanded, CMYK is converted, the first frame is taken,
    and an EXIF orientation is not followed: all as Pillow's `convert("RGB")`, which the papers'
    loaders call.

    Args:
        content: the file's bytes.
        transform: will be applied; its result must not be too large either.

    Raises:
        BrokenImageError: no image, a truncated one, one with more than 8 bits a channel, or one
            whose header states too many pixels, which is checked before decoding.
    """
    if not content:
        raise BrokenImageError("the file has no bytes")
    try:
        with Image.open(BytesIO(content), formats=FORMATS) as image:
            _check_size(image.size, transform)
            if image.mode.startswith(_DEEP):
                raise BrokenImageError(
                    f"more than 8 bits a channel (mode {image.mode}); convert it to 8 bits"
                )
            # Pillow warns of a palette with transparency unless it passes through RGBA.
            through = image.convert("RGBA") if "transparency" in image.info else image
            return through.convert("RGB")
    except BrokenImageError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        # Pillow refuses before it says how large the image is.
        if (size := _stated_size(content)) is not None:
            _check_size(size, transform)
        raise BrokenImageError(
            f"its header states more than the {MAX_PIXELS:,} pixels that are decoded"
        ) from None
    except Exception as error:  # a decoder may raise anything on a malformed file
        reason = str(error).strip() or type(error).__name__
        if isinstance(error, UnidentifiedImageError):
            reason = "no JPEG, PNG or other known image"
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


def _check_size(size: tuple[int, int], transform: Transform) -> None:
    width, height = size
    if width < 1 or height < 1:
        raise BrokenImageError(f"its header states {width} x {height} pixels")
    if width * height > MAX_PIXELS:
        raise BrokenImageError(
            f"its header states {width:,} x {height:,} pixels, more than the {MAX_PIXELS:,} that "
            "are decoded"
        )
    wider, higher = transform.size(width, height)
    if wider * higher > MAX_PIXELS:
        raise BrokenImageError(
            f"{width:,} x {height:,} pixels are too long and thin: a short side of "
            f"{transform.resize} makes {wider:,} x {higher:,}"
        )
