"""Paths of images as the papers' list files hold them: one a line, relative. Reads no files."""

from __future__ import annotations

import posixpath
import re
from io import BytesIO
from pathlib import Path
from typing import Final

from hashbench.characters import MAX_QUOTED, shortened, shown
from hashbench.errors import UsageError
from hashbench.plugins.paths import MAX_PATH

BLANKS: Final = b" \t\r\n"
"""What may stand around a path or a label."""

_DRIVE = re.compile(r"[A-Za-z]:")


def parse_image_paths(content: bytes, path: Path, strip: str | None = None) -> tuple[str, ...]:
    """Read one path a line.

    Args:
        content: the file's bytes, UTF-8.
        path: names the file in an error.
        strip: what paths begin with and is taken off, see `without_prefix`.

    Returns:
        The paths in their order, relative, with `/` between folders and without `.` parts.

    Raises:
        UsageError: an empty file or line, a path that is absolute or has a `..` part; names the
            file and the line.
    """
    if not content:
        raise UsageError(f"{path}: the file is empty")
    found = []
    for number, line in enumerate(BytesIO(content), start=1):
        found.append(parse_path(line, path, number, strip))
    return tuple(found)


def parse_path(line: bytes, path: Path, number: int, strip: str | None = None) -> str:
    """Read the path of one line.

    Args:
        line: its bytes.
        path: names the file in an error.
        number: of the line, from 1.
        strip: as for `parse_image_paths`.

    Raises:
        UsageError: as `parse_image_paths`.
    """
    try:
        return clean_path(without_prefix(_decoded(line.strip(BLANKS)), strip))
    except ValueError as error:
        raise UsageError(f"{path}, line {number}: {error}") from None


def clean_path(text: str) -> str:
    """The path without `.` and empty parts.

    Raises:
        ValueError: it could lead out of the folder, or is no path; says why.
    """
    if not text:
        raise ValueError("the line is empty, expected the path of an image")
    if "\r" in text:
        raise ValueError("it has a carriage return inside; end every line with a line feed")
    if not text.isprintable():
        raise ValueError(f"the path {quoted(text)} holds a control character")
    if "\\" in text:
        raise ValueError(f"the path {quoted(text)} holds a backslash; write / between folders")
    if text[0] == "/" or _DRIVE.match(text):
        raise ValueError(
            f"the path {quoted(text)} is absolute, expected one relative to the data folder "
            "(strip=FOLDER, of lists and csv, takes off what it begins with)"
        )
    if ".." in text and ".." in text.split("/"):
        raise ValueError(
            f"the path {quoted(text)} has a '..' part, which could leave the data folder"
        )
    if "//" in text or text.startswith("./") or "/./" in text or text[-1] in "/.":
        text = posixpath.normpath(text)
    if text == ".":
        raise ValueError("the path '.' names a folder, expected an image")
    return text


def without_prefix(text: str, prefix: str | None) -> str:
    r"""A path without the folder that lists of another machine begin with.

    Args:
        text: a path, as `/home/x/data/a/1.jpg`.
        prefix: such as `/home/x/data`, with or without `/` at its end; or `C:\\data`, and then `\\`
            stands between all folders. None takes nothing off.
    """
    if prefix is None:
        return text
    if "\\" in prefix:
        text, prefix = text.replace("\\", "/"), prefix.replace("\\", "/")
    start = prefix.rstrip("/") + "/"
    return text.removeprefix(start).lstrip("/") if text.startswith(start) else text


def quoted(text: str) -> str:
    """A value of a list in quotes, as an error shows it: short, and nothing in it steers."""
    return f"'{shown(shortened(text, MAX_QUOTED))}'"


def _decoded(line: bytes) -> str:
    if len(line) > MAX_PATH:
        raise ValueError(f"it has {len(line):,} bytes, expected a path of at most {MAX_PATH:,}")
    try:
        return line.decode()
    except UnicodeDecodeError:
        raise ValueError("not UTF-8") from None
