"""The zip archives that torch writes: their directory, read without inflating anything.

torch stores members as they are, so that a tensor is a stretch of the file. What is compressed, or
claims more than the file holds, was not written by it. The format: PKWARE's APPNOTE 6.3.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Final

from hashbench.characters import briefly
from hashbench.errors import FileError

SIGNATURE: Final = b"PK\x03\x04"

_LOCAL = struct.Struct("<4s5H3L2H")
_ENTRY = struct.Struct("<4s6H3L5H2L")
_END = struct.Struct("<4s4H2LH")
_LOCATOR = struct.Struct("<4sLQL")
_END_64 = struct.Struct("<4sQ2H2L4Q")
_LONGEST_COMMENT = 2**16 - 1
_MAX_DIRECTORY = 2**23
_MAX_32 = 2**32 - 1
_MAX_PLACE = 2**62
_ENCRYPTED = 1


@dataclass(frozen=True)
class Member:
    """A stretch of an archive.

    Attributes:
        begin: its first byte in the file.
        size: how many there are.
        plain: whether they are the content itself, neither compressed nor encrypted.
    """

    begin: int
    size: int
    plain: bool


def members(file: IO[bytes], size: int) -> dict[str, Member]:
    """The members of an archive by name.

    Args:
        file: at any place.
        size: of the whole file in bytes.

    Raises:
        FileError: it is cut off or damaged, two members have one name or one place, or one is
            larger than the file.
    """
    start, length = _directory(file, size)
    if length > _MAX_DIRECTORY:
        raise FileError(f"its directory has {length:,} bytes, expected at most {_MAX_DIRECTORY:,}")
    file.seek(start)
    found: dict[str, Member] = {}
    for name, place, stored, plain in _entries(file.read(length)):
        if name in found:
            raise FileError(f"two members are called '{briefly(name)}'")
        found[name] = Member(_content(file, name, place), stored, plain)
    end = 0
    for name, member in sorted(found.items(), key=lambda item: (item[1].begin, item[1].size)):
        if member.begin < end:
            raise FileError(f"the member '{briefly(name)}' lies where another one does")
        end = member.begin + member.size
        if end > start:
            raise FileError(f"the member '{briefly(name)}' claims more bytes than the file holds")
    return found


def _directory(file: IO[bytes], size: int) -> tuple[int, int]:
    """Where the directory begins, and its bytes."""
    tail_start = max(0, size - _END.size - _LONGEST_COMMENT)
    file.seek(tail_start)
    tail = file.read(size - tail_start)
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) - at < _END.size:
        raise FileError("it is a zip archive that is cut off (a download that did not finish?)")
    _, _, _, _, _, length, start, _ = _END.unpack_from(tail, at)
    if start == _MAX_32 or length == _MAX_32 or tail[at - _LOCATOR.size : at][:4] == b"PK\x06\x07":
        start, length = _directory_64(file, tail_start + at - _LOCATOR.size)
    if start + length > tail_start + at:
        raise FileError("it is a zip archive whose directory is damaged")
    return start, length


def _directory_64(file: IO[bytes], at: int) -> tuple[int, int]:
    locator = _read(file, _LOCATOR, at, b"PK\x06\x07")
    *_, length, start = _read(file, _END_64, locator[2], b"PK\x06\x06")
    return start, length


def _entries(directory: bytes) -> Iterator[tuple[str, int, int, bool]]:
    """Name, place of the local header, bytes and whether they are plain, of each member."""
    at = 0
    while at < len(directory):
        if len(directory) - at < _ENTRY.size or directory[at : at + 4] != b"PK\x01\x02":
            raise FileError("it is a zip archive whose directory is damaged")
        fields = _ENTRY.unpack_from(directory, at)
        _, _, _, flags, method, _, _, _, packed, stored, n_name, n_extra, n_comment = fields[:13]
        at += _ENTRY.size
        name = directory[at : at + n_name].decode("utf-8", "backslashreplace")
        extra = directory[at + n_name : at + n_name + n_extra]
        at += n_name + n_extra + n_comment
        wide = _wide(extra)
        stored = next(wide, 0) if stored == _MAX_32 else stored
        packed = next(wide, 0) if packed == _MAX_32 else packed
        place = next(wide, 0) if fields[16] == _MAX_32 else fields[16]
        plain = not method and not flags & _ENCRYPTED and packed == stored
        yield name, place, packed, plain


def _wide(extra: bytes) -> Iterator[int]:
    """The numbers that did not fit into 32 bits."""
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, at)
        if kind == 1:
            for place in range(at + 4, min(at + 4 + length, len(extra)) - 7, 8):
                yield struct.unpack_from("<Q", extra, place)[0]
            return
        at += 4 + length


def _content(file: IO[bytes], name: str, place: int) -> int:
    """The first byte of a member's content."""
    try:
        *_, n_name, n_extra = _read(file, _LOCAL, place, SIGNATURE)
    except FileError:
        raise FileError(f"its member '{briefly(name)}' is not where its directory says") from None
    return place + _LOCAL.size + n_name + n_extra


def _read(file: IO[bytes], form: struct.Struct, at: int, signature: bytes) -> tuple[int, ...]:
    if 0 <= at <= _MAX_PLACE:
        file.seek(at)
        content = file.read(form.size)
        if len(content) == form.size and content.startswith(signature):
            return form.unpack(content)
    raise FileError("it is a zip archive whose directory is damaged")
