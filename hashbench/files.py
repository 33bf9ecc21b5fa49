"""Reading files that a stranger may have written: bounded before anything is read or built.

Only regular files are read, never more of them than a limit, and a refusal is one clause that does
not name the file: the caller knows what it is to people.
"""

from __future__ import annotations

import json
import os
import re
import stat
from pathlib import Path
from typing import Any, Final

from hashbench.errors import FileError

MAX_JSON_VALUES: Final = 1_000_000
"""How many values a JSON file may hold: each takes up to some 100 bytes once it is read."""

_SURROGATE: Final = re.compile(rb"\\u[dD][89a-fA-F]")

_KINDS: Final = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def read_bytes(path: Path, limit: int) -> bytes:
    """The content of a regular file.

    Args:
        path: links are followed.
        limit: the most bytes that it may have.

    Raises:
        FileError: it is no regular file, or larger.
        OSError: it is not there, or cannot be read.
    """
    try:
        # A named pipe that nobody writes to would be waited for; looked at once it is open, so
        # that nothing can be put in its place in between.
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    except ValueError:
        raise FileError("its name holds a character that no file can have") from None
    status = os.fstat(handle)
    if not stat.S_ISREG(status.st_mode):
        os.close(handle)
        what = next((words for test, words in _KINDS if test(status.st_mode)), "no file")
        raise FileError(f"it is {what}, expected a file")
    with os.fdopen(handle, "rb") as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        size = max(status.st_size, len(content))
        raise FileError(f"it has {size:,} bytes, expected at most {limit:,}")
    return content


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


def decoded(content: bytes) -> str:
    """Bytes in UTF-8, with or without a byte order mark, as text.

    Raises:
        FileError: they are of another encoding.
    """
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise FileError("it is in UTF-16; save it as UTF-8")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise FileError(f"it is not in UTF-8 (line {line})") from None


def read_json(path: Path, limit: int) -> Any:
    """What a JSON file holds.

    Raises:
        FileError, OSError: as for `read_text`; FileError also where it is no JSON, where it is
            nested too deep, where it holds more than `MAX_JSON_VALUES` values or a number of
            thousands of digits, or half a surrogate pair, which is no character.
    """
    return parsed_json(read_bytes(path, limit))


def parsed_json(content: bytes) -> Any:
    """What the bytes of a JSON file mean; see `read_json`."""
    text = decoded(content)
    values = sum(content.count(mark) for mark in (b",", b"[", b"{"))
    if values > MAX_JSON_VALUES:  # those in texts count as well: no file of ours comes near
        raise FileError(f"it holds more than {MAX_JSON_VALUES:,} values")
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
