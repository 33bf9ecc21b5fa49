"""Arrays out of an .npz file that a stranger may have written: looked at before it is inflated."""

from __future__ import annotations

import io
import math
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hashbench.characters import shortened
from hashbench.errors import FileError

MAX_MEMBERS: Final = 64
"""How many arrays a file may have."""

_MAX_DIRECTORY: Final = 2**16
"""Bytes of a zip file's directory: 64 names take 4 kB."""

_MAGIC: Final = b"\x93NUMPY\x01\x00"
"""What an array begins with, in the version that numpy writes wherever it can."""

_PACKED: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""How numpy packs; what unpacks the other ways of zip files takes memory as a stranger says."""

_MAX_AXES: Final = 8

_MAX_HEADER: Final = 1_024
"""Bytes in front of an array's numbers: 128 as numpy writes them."""

_END: Final = struct.Struct("<4s4H2LH")
"""The end of a zip file: signature, two disks, entries here, entries, size and place of the
directory, length of the comment."""

_HEADER: Final = re.compile(
    rb"\{'descr': '([<>|](?:b1|[iu][1248]|f[248]))', "
    rb"'fortran_order': (True|False), 'shape': \(([\d, ]*)\), \} *\n"
)


@dataclass(frozen=True)
class Array:
    """What an array has to be.

    Attributes:
        kind: numpy's letter and size: `f8`, `i1`.
        shape: its lengths.
    """

    kind: str
    shape: tuple[int, ...]

    @property
    def bytes(self) -> int:
        """What its numbers take."""
        size = np.dtype(self.kind).itemsize
        for length in self.shape:
            size *= length
        return size


def largest_file(wanted: Mapping[str, Array]) -> int:
    """The most bytes that an .npz file of these arrays can have."""
    around = _MAX_HEADER + 1_024  # and what a zip file keeps of it, twice
    return 1_024 + sum(array.bytes + array.bytes // 100 + around for array in wanted.values())


def read_arrays(content: bytes, wanted: Mapping[str, Array]) -> dict[str, NDArray[Any]]:
    """Arrays of an .npz file.

    Nothing is inflated before its size is known to be the right one, nothing is unpickled. Members
    that are not wanted are not looked at.

    Args:
        content: the file.
        wanted: what each array has to be, by name.

    Raises:
        FileError: it is no such file, an array is missing, or of another type or shape.
    """
    with _zip_file(content) as file:
        members = {info.filename: info for info in file.infolist()}
        arrays = {}
        for name, array in wanted.items():
            member = members.get(f"{name}.npy")
            if member is None:
                raise FileError(f"it lacks the array '{name}'")
            if not 0 <= member.file_size - array.bytes <= _MAX_HEADER:
                raise FileError(f"the array '{name}' is of another size")
            arrays[name] = _array(file, member)
            check_array(name, arrays[name], array)
    return arrays


def read_all_arrays(content: bytes, limit: int) -> dict[str, NDArray[Any]]:
    """All arrays of an .npz file, in the order of its directory.

    Args:
        content: the file.
        limit: the most bytes that they may take together.

    Raises:
        FileError: it is no such file, or its arrays take more.
    """
    with _zip_file(content) as file:
        members = file.infolist()
        if sum(member.file_size for member in members) > limit:
            raise FileError(f"its arrays take more than {limit:,} bytes")
        return {member.filename.removesuffix(".npy"): _array(file, member) for member in members}


def check_array(name: str, found: NDArray[Any], wanted: Array) -> None:
    """Refuse an array of another type or shape; raises FileError."""
    if found.dtype != np.dtype(wanted.kind) or found.shape != wanted.shape:
        raise FileError(
            f"the array '{name}' is {found.dtype} {found.shape}, "
            f"expected {np.dtype(wanted.kind)} {wanted.shape}"
        )


@contextmanager
def _zip_file(content: bytes) -> Iterator[zipfile.ZipFile]:
    _check_end(content)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as file:
            yield file
    except FileError:
        raise
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
        raise FileError(f"it is no .npz file, or damaged ({shortened(str(error))})") from None
    except (RuntimeError, ValueError, OverflowError, struct.error):
        # A version or an encryption that numpy does not write, or places that no file has.
        raise FileError("it is no .npz file as numpy writes it") from None


def _check_end(content: bytes) -> None:
    """Refuse a directory that is too long to be read."""
    end = content[-_END.size :]
    if len(end) < _END.size or not end.startswith(b"PK\5\6"):
        raise FileError("it is no .npz file, or not whole")
    _, _, _, _, entries, size, place, _ = _END.unpack(end)
    whole = place + size + _END.size == len(content)  # also: no second directory, of 64 bits
    if entries > MAX_MEMBERS or size > _MAX_DIRECTORY or not whole:
        raise FileError("it is no .npz file as numpy writes it")


def _array(file: zipfile.ZipFile, member: zipfile.ZipInfo) -> NDArray[Any]:
    """A member whose size is one that may be inflated."""
    name = shortened(member.filename)
    if member.compress_type not in _PACKED:
        raise FileError(f"the array '{name}' is packed in a way that numpy does not write")
    with file.open(member) as stored:
        plain = stored.read(member.file_size + 1)
    version, length = plain[:8], int.from_bytes(plain[8:10], "little")
    header = _HEADER.fullmatch(plain[10 : 10 + min(length, _MAX_HEADER)])
    if version != _MAGIC or header is None:
        raise FileError(f"the array '{name}' is of a type that is not read")
    dtype = np.dtype(header[1].decode())
    lengths = header[3].decode().split(",")
    shape = tuple(int(length) for length in lengths if length.strip())
    numbers = len(plain) - 10 - length
    if len(shape) > _MAX_AXES or math.prod(shape) * dtype.itemsize != numbers:
        raise FileError(f"the array '{name}' is not as long as it says")
    array = np.frombuffer(plain, dtype, offset=10 + length)
    ordered = array.reshape(shape, order="F" if header[2] == b"True" else "C")
    return ordered.astype(dtype.newbyteorder("="), order="C")
