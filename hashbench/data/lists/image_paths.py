"""Paths of images as the papers' list files hold them: one a line, relative. Reads no files."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

from hashbench.errors import UsageError

_DRIVE = re.compile(r"[A-Za-z]:")


def parse_image_paths(content: bytes, path: Path) -> tuple[str, ...]:
    """Read one path a line.

    Args:
        content: the file's bytes, UTF-8.
        path: names the file in an error.

    Returns:
        The paths in their order, relative, with `/` between folders and without `.` parts.

    Raises:
        UsageError: an empty file or line, a path that is absolute or has a `..` part; names the
            file and the line.
    """
    if not content:
        raise UsageError(f"{path}: the file is empty")
    lines = content.split(b"\n")
    if not lines[-1]:
        lines.pop()
    found = []
    for number, line in enumerate(lines, start=1):
        try:
            found.append(clean_path(line.decode().strip()))
        except ValueError as error:
            # A list of another encoding fails here as well: its error is a ValueError too.
            fault = "not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
            raise UsageError(f"{path}, line {number}: {fault}") from None
    return tuple(found)


def clean_path(text: str) -> str:
    """The path without `.` and empty parts.

    Raises:
        ValueError: it could lead out of the folder, or is no path; says why.
    """
    if not text:
        raise ValueError("the line is empty, expected the path of an image")
    if not text.isprintable():
        raise ValueError(f"the path {text!r} holds a control character")
    if "\\" in text:
        raise ValueError(f"the path '{text}' holds a backslash; write / between folders")
    if text[0] == "/" or _DRIVE.match(text):
        raise ValueError(f"the path '{text}' is absolute, expected one relative to the data folder")
    if ".." in text and ".." in text.split("/"):
        raise ValueError(f"the path '{text}' has a '..' part, which could leave the data folder")
    if "//" in text or text.startswith("./") or "/./" in text or text[-1] in "/.":
        text = posixpath.normpath(text)
    if text == ".":
        raise ValueError("the path '.' names a folder, expected an image")
    return text
