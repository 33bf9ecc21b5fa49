"""Files of a data folder, which strangers may have written: read within bounds, told by name."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import Final

from hashbench import files
from hashbench.errors import FileError, UsageError

MAX_LIST: Final = 1 << 26
"""Most bytes of a list: twice the database list of ImageNet's hundred classes."""

MAX_LINES: Final = 500_000
"""Most lines of a list: all of NUS-WIDE has 269,648."""

MAX_NAMES: Final = 1 << 20
"""Most bytes of the file of class names."""


def read_source(path: Path, limit: int) -> bytes:
    """The bytes of a file of the data.

    Args:
        path: a regular file, or a link to one.
        limit: the most bytes that it may have.

    Raises:
        UsageError: it cannot be read, is no regular file, or is larger; names it.
    """
    with told(path):
        return files.read_bytes(path, limit)


@contextmanager
def open_source(path: Path, limit: int) -> Iterator[BufferedReader]:
    """A file of the data, open for reading; arguments and errors as for `read_source`."""
    with told(path), files.opened(path, limit) as file:
        yield file


def read_list(path: Path) -> bytes:
    """The bytes of a list of lines, without a byte order mark.

    Raises:
        UsageError: it cannot be read, has too many bytes or lines, or is in UTF-16; names it.
    """
    with told(path):
        content = files.without_mark(files.read_bytes(path, MAX_LIST))
    count = content.count(b"\n")
    if count > MAX_LINES:
        raise UsageError(f"{path}: it has {count:,} lines, expected at most {MAX_LINES:,}")
    return content


@contextmanager
def told(path: Path) -> Iterator[None]:
    """Turn what is wrong with a file into one sentence that names it."""
    try:
        yield
    except FileError as error:
        raise UsageError(f"{path}: {error}") from None
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror or error})") from None


def local_name(path: str) -> str:
    """A path of a list, which is UTF-8, as this system's calls take it, whatever its locale."""
    return path if path.isascii() else os.fsdecode(path.encode())
