"""Reading files that a stranger may have written: bounded before anything is read or built.

Only regular files are read, never more of them than a limit, and a refusal is one clause that does
not name the file: the caller knows what it is to people.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import stat
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import Any, Final

from hashbench.errors import FileError

MAX_JSON_VALUES: Final = 1_000_000
"""How many values a JSON file may hold: each takes up to some 100 bytes once it is read."""

_PIECE: Final = 2**16
"""Bytes that are read at once of a file whose size is not known."""

_SURROGATE: Final = re.compile(rb"\\u[dD][89a-fA-F]")

_KINDS: Final = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def opened(path: Path, limit: int | None = None, *, links: bool = True) -> BufferedReader:
    """A regular file, open for reading.

    Args:
        path: the file.
        limit: the most bytes that it may have; one that grows meanwhile may give more.
        links: whether a link is followed; one that is not is no regular file.

    Raises:
        FileError: it is no regular file, or larger.
        OSError: it is not there, or cannot be read.
    """
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)
    if not links:
        flags |= getattr(os, "O_NOFOLLOW", 0)
    try:
        # A named pipe that nobody writes to would be waited for; looked at once it is open, so
        # that nothing can be put in its place in between.
        handle = os.open(path, flags)
    except ValueError:
        raise FileError("its name holds a character that no file can have") from None
    except OSError as error:
        if error.errno == errno.ENXIO:  # what a system says of a socket
            raise FileError("it is a socket or a device, expected a file") from None
        if error.errno == errno.ELOOP and not links:
            raise FileError("it is a link, expected a file") from None
        raise
    status = os.fstat(handle)
    if not stat.S_ISREG(status.st_mode):
        os.close(handle)
        what = next((words for test, words in _KINDS if test(status.st_mode)), "no file")
        raise FileError(f"it is {what}, expected a file")
    if limit is not None and status.st_size > limit:
        os.close(handle)
        raise FileError(f"it has {status.st_size:,} bytes, expected at most {limit:,}")
    return os.fdopen(handle, "rb")


def read_bytes(path: Path, limit: int, *, links: bool = True) -> bytes:
    """The content of a regular file; arguments and errors as for `opened`."""
    with opened(path, limit, links=links) as file:
        content = b"".join(_pieces(file, limit + 1))
    if len(content) > limit:  # a file without a size, as those of the system, or one that grew
        raise FileError(f"it has {len(content):,} bytes or more, expected at most {limit:,}")
    return content


def _pieces(file: BufferedReader, most: int) -> Iterator[bytes]:
    """The content of a file up to so many bytes.

    Python takes the memory for all that is asked for before it reads, so a limit of gigabytes is
    never asked for: the first piece is as long as the file says it is.
    """
    length = os.fstat(file.fileno()).st_size
    while piece := file.read(min(length or _PIECE, most)):
        yield piece
        most -= len(piece)
        length = _PIECE


def sha256_of_file(path: Path, limit: int | None = None, *, links: bool = True) -> str:
    """SHA-256 of a regular file's content, which is never in memory as a whole.

    Arguments and errors as for `opened`.
    """
    with opened(path, limit, links=links) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def why_no_file(path: Path) -> str:
    """Why a path is no regular file: nothing is there, or what is there in its place."""
    return _instead(path, "file")


def why_no_folder(path: Path) -> str:
    """Why a path is no folder: nothing is there, or what is there in its place."""
    return _instead(path, "folder")


def _instead(path: Path, expected: str) -> str:
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return f"no such {expected}"
    what = next((words for test, words in _KINDS if test(mode)), "a file")
    return f"it is {what}, expected a {expected}"


def read_text(path: Path, limit: int) -> str:
    """The content of a text file in UTF-8, with or without a byte order mark.

    Raises:
        FileError, OSError: as for `read_bytes`; FileError also where it is not UTF-8.
    """
    return decoded(read_bytes(path, limit))


def without_mark(content: bytes) -> bytes:
    """Bytes of a text without the byte order mark of UTF-8.

    Raises:
        FileError: they are marked as UTF-16.
    """
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise FileError("it is in UTF-16; save it as UTF-8")
    return content.removeprefix(b"\xef\xbb\xbf")


def decoded(content: bytes) -> str:
    """Bytes in UTF-8, with or without a byte order mark, as text.

    Raises:
        FileError: they are of another encoding.
    """
    content = without_mark(content)
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise FileError(f"it is not in UTF-8 (line {line})") from None


def read_json(path: Path, limit: int, *, values: int = MAX_JSON_VALUES) -> Any:
    """What a JSON file holds.

    Args:
        path: links are followed.
        limit: the most bytes that it may have.
        values: the most values.

    Raises:
        FileError, OSError: as for `read_text`; FileError also where it is no JSON, where it is
            nested too deep, where it holds too many values or a number of thousands of digits, or
            half a surrogate pair, which is no character.
    """
    return parsed_json(read_bytes(path, limit), values=values)


def parsed_json(content: bytes, *, values: int = MAX_JSON_VALUES) -> Any:
    """What the bytes of a JSON file mean; see `read_json`."""
    text = decoded(content)
    if sum(content.count(mark) for mark in (b",", b"[", b"{")) > values:
        # Those in texts count as well: no file of ours comes near.
        raise FileError(f"it holds more than {values:,} values")
    try:
        value = json.loads(text)
        if _SURROGATE.search(content):
            json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise FileError("it holds half a surrogate pair, which is no character") from None
    except json.JSONDecodeError as error:
        raise FileError(f"it is no JSON ({error.msg} in line {error.lineno})") from None
    except ValueError:  # what Python refuses to turn into a number
        raise FileError("it holds a number of too many digits") from None
    except RecursionError:
        raise FileError("its lists or tables are nested too deep") from None
    return value
