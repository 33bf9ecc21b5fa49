"""Tallies as bytes, so that counts made on one machine can be added up on another."""

from __future__ import annotations

import io
import zipfile
import zlib
from typing import Final

import numpy as np

from hashbench.characters import first_line
from hashbench.errors import UsageError
from hashbench.retrieval.checks import Array
from hashbench.retrieval.packing import MAX_BITS

NAMES: Final = ("total", "relevant")

# The most bytes that one of the two arrays may have: ten million queries of 32 bits.
_MOST_BYTES: Final = 1 << 32
_TYPE: Final = np.dtype("<i8")
# What unpacks the other ways of zip files takes memory as their headers say.
_PACKED: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


def to_bytes(arrays: dict[str, Array]) -> bytes:
    """The two arrays as an .npz file."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for name in NAMES:
            # A fixed date: equal counts are equal bytes.
            member = zipfile.ZipInfo(f"{name}.npy")
            member.compress_type = zipfile.ZIP_DEFLATED
            content = io.BytesIO()
            np.lib.format.write_array(
                content, np.ascontiguousarray(arrays[name], dtype=_TYPE), allow_pickle=False
            )
            file.writestr(member, content.getvalue())
    return buffer.getvalue()


def from_bytes(content: bytes) -> tuple[Array, Array]:
    """The two arrays, both int64 ``(Q, K + 1)``; the counts themselves are not looked at.

    Raises ValueError for anything else; memory is taken only for what the header promises.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as file:
            found = sorted(file.namelist())
            if found != sorted(f"{name}.npy" for name in NAMES):
                raise _unlike(f"the entries {found[:4]}")
            total, relevant = (_read(file, f"{name}.npy") for name in NAMES)
    except UsageError:
        raise
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, ValueError) as error:
        # RuntimeError: an entry that is encrypted. ValueError: a place in front of the file.
        raise _unlike(f"no whole .npz file ({error})") from None
    if total.shape != relevant.shape:
        raise _unlike(f"arrays of shapes {total.shape} and {relevant.shape}")
    return total, relevant


def _read(file: zipfile.ZipFile, name: str) -> Array:
    member = file.getinfo(name)
    if member.file_size > _MOST_BYTES:
        raise _unlike(f"{member.file_size:,} bytes in {name}")
    if member.compress_type not in _PACKED:
        raise _unlike(f"{name} packed in another way")
    with file.open(member) as entry:
        try:
            version = np.lib.format.read_magic(entry)
            if version != (1, 0):
                raise ValueError(f"version {version}")
            shape, by_column, kind = np.lib.format.read_array_header_1_0(entry)
        except ValueError as error:
            raise _unlike(f"no array in {name} ({first_line(error, 120)})") from None
        fits = len(shape) == 2 and shape[0] >= 1 and 2 <= shape[1] <= MAX_BITS + 1
        if kind != _TYPE or by_column or not fits:
            raise _unlike(f"{kind} of shape {shape} in {name}")
        data = entry.read(shape[0] * shape[1] * _TYPE.itemsize + 1)
    if len(data) != shape[0] * shape[1] * _TYPE.itemsize:
        raise _unlike(f"{name} of another length than its shape {shape} has")
    return np.frombuffer(data, dtype=_TYPE).reshape(shape).astype(np.int64)


def _unlike(found: str) -> UsageError:
    return UsageError(f"content: expected what Tally.to_bytes returned, found {found}")
