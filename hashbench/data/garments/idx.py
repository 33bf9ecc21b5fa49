"""The idx file format of MNIST and its kin: unsigned bytes, plain or gzipped. Reads files only.

Format: two zero bytes, the type (8 for unsigned bytes), the number of dimensions, each dimension
as a big-endian 32-bit number, then the values, last dimension fastest.
"""

from __future__ import annotations

import math
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hashbench.data.sources import read_source
from hashbench.errors import FileError, MissingDataError, UsageError

UNSIGNED_BYTE = 8

MAX_BYTES = 1 << 26
"""Most bytes of a file, packed or not: the 60,000 images of Fashion-MNIST have 47 million."""

_GZIP = 31
"""What zlib calls the format of gzip files."""
_MEMBERS = 16
"""Most gzip files that may stand one after the other in one; there is one."""


def find_idx(folder: Path, name: str) -> Path:
    """The file `name`, or `name.gz` where there is no plain one.

    Raises:
        UsageError: the folder or both files are missing.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder; it must hold {name}, plain or as .gz")
    for path in (folder / name, folder / f"{name}.gz"):
        if path.exists() and not path.is_dir():
            return path
    raise MissingDataError(f"{folder / name}: no such file, and none with .gz added")


def read_content(path: Path) -> bytes:
    """The bytes of an idx file, unpacked when its name ends in `.gz`.

    Raises:
        UsageError: it cannot be read, or is no whole gzip file.
    """
    content = read_source(path, MAX_BYTES)
    try:
        return _unpacked(content) if path.suffix == ".gz" else content
    except FileError as error:
        raise UsageError(f"{path}: {error}") from None
    except (EOFError, zlib.error) as error:
        raise UsageError(f"{path}: damaged gzip file ({error}); download it again") from None


def _unpacked(content: bytes) -> bytes:
    """The content of a gzip file, never more of it than `MAX_BYTES`."""
    found = b""
    for _ in range(_MEMBERS):
        unpacker = zlib.decompressobj(_GZIP)
        found += unpacker.decompress(content, MAX_BYTES + 1 - len(found))
        if len(found) > MAX_BYTES:
            raise FileError(f"it unpacks to more than {MAX_BYTES:,} bytes")
        if not unpacker.eof:
            raise EOFError("it ends before its end marker")
        content = unpacker.unused_data.lstrip(b"\0")
        if not content:
            return found
    raise FileError(f"it holds more than {_MEMBERS} gzip files in one")


def read_idx(path: Path, dimensions: int) -> NDArray[np.uint8]:
    """Read an array of unsigned bytes.

    Args:
        path: the file; gzipped when its name ends in `.gz`.
        dimensions: how many it must have: 3 for images (N, H, W), 1 for labels (N,).

    Returns:
        A read-only array of the shape that the file states.

    Raises:
        UsageError: not such a file, or its length does not fit its header; names the file.
    """
    content = read_content(path)
    header = 4 + 4 * dimensions
    if len(content) < header:
        raise UsageError(f"{path}: truncated, {len(content)} bytes are less than the idx header")
    magic = bytes((0, 0, UNSIGNED_BYTE, dimensions))
    if content[:4] != magic:
        raise UsageError(
            f"{path}: an idx file of bytes with {dimensions} dimension(s) starts with "
            f"{magic.hex()}, this one with {content[:4].hex()}"
        )
    shape = tuple(int(size) for size in np.frombuffer(content, ">u4", dimensions, offset=4))
    stated, found = math.prod(shape), len(content) - header
    if found != stated:
        fault = "truncated" if found < stated else "too long"
        raise UsageError(
            f"{path}: {fault}, its header states {' x '.join(map(str, shape))} = {stated} bytes "
            f"of data, found {found}"
        )
    try:
        return np.frombuffer(content, np.uint8, offset=header).reshape(shape)
    except ValueError:  # no data, but sides that numpy multiplies all the same
        sides = " x ".join(map(str, shape))
        raise UsageError(f"{path}: its header states {sides}, which no array has") from None
