"""Arrays out of an .npz file that a stranger may have written: looked at before it is inflated."""

from __future__ import annotations

import io
import re
import struct
import zipfile
import zlib
from collections.abc import Mapping
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

_MAX_HEADER: Final = 1_024
"""Bytes in front of an array's numbers: 128 as numpy writes them."""

_END: Final = struct.Struct("<4s4H2LH")
"""The end of a zip file: signature, two disks, entries here, entries, size and place of the
directory, length of the comment."""

_HEADER: Final = re.compile(
    rb"\{'descr': '([<>|][biuf]\d)', 'fortran_order': (True|False), 'shape': \(([\d, ]*)\), \} *\n"
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
    _check_end(content)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as file:
            members = {info.filename: info for info in file.infolist()}
            return {
                name: _array(file, members.get(f"{name}.npy"), name, array)
                for name, array in wanted.items()
            }
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
        raise FileError(f"it is no .npz file, or damaged ({shortened(str(error))})") from None
    except (NotImplementedError, RuntimeError, ValueError, OverflowError, struct.error):
        # A way to compress, a version or an encryption that numpy does not write.
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


def _array(
    file: zipfile.ZipFile, member: zipfile.ZipInfo | None, name: str, wanted: Array
) -> NDArray[Any]:
    if member is None:
        raise FileError(f"it lacks the array '{name}'")
    if not 0 <= member.file_size - wanted.bytes <= _MAX_HEADER:
        raise FileError(f"the array '{name}' is of another size")
    with file.open(member) as stored:
        plain = stored.read(member.file_size + 1)
    start = len(plain) - wanted.bytes
    header = _HEADER.fullmatch(plain[10 : max(10, start)]) if plain[:6] == b"\x93NUMPY" else None
    if header is None:
        raise FileError(f"the array '{name}' is of another type")
    dtype = np.dtype(header[1].decode())
    shape = tuple(int(length) for length in header[3].decode().split(",") if length.strip())
    if dtype.newbyteorder("=") != np.dtype(wanted.kind) or shape != wanted.shape:
        raise FileError(f"the array '{name}' is of another type or shape")
    numbers = np.frombuffer(plain, dtype, offset=start)
    ordered = numbers.reshape(shape, order="F" if header[2] == b"True" else "C")
    return ordered.astype(dtype.newbyteorder("="))
