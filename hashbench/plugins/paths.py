"""Parameters that are paths: declared in their types, so that all of them are read alike.

A field of type `Path` is one. `FileOr` declares a text that is a path unless it is one of some
words, as pretrained weights are. Of both `~` is the home folder, and in a suite file a relative
path starts from the file's folder.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, get_args

from hashbench.characters import shortened
from hashbench.errors import UsageError

MAX_PATH: Final = 4096
"""Bytes of a path with the one that ends it: what file systems take."""

MAX_NAME: Final = 255
"""Bytes of each name in it."""


class FileOr:
    """Said of a text parameter, `Annotated[str, FileOr("none")]`: a path, or one of the words."""

    def __init__(self, *words: str) -> None:
        """Take these words besides paths."""
        self.words = words


def path_words(kind: Any) -> tuple[str, ...] | None:
    """The words that a parameter of this type takes besides paths; `None` where it takes none."""
    if kind is Path:
        return ()
    parts = (kind, *get_args(kind))
    for part in parts:
        for fact in getattr(part, "__metadata__", ()):
            if isinstance(fact, FileOr):
                return fact.words
    optional = type(None) in parts and Path in parts  # `Path | None`
    return ("none",) if optional else None


def at_home(path: str, where: str) -> str:
    """A path with `~` written out; any other stays as it is.

    Raises:
        UsageError: there is no such user, or no file can be named so; `where` opens the sentence.
    """
    try:
        content = path.encode(errors="surrogateescape")
    except UnicodeEncodeError:  # half a surrogate pair that stands for no byte
        content = b"\0"
    if b"\0" in content:
        raise UsageError(f"{where}: a path holds a character that no file can have")
    if len(content) >= MAX_PATH or max(map(len, content.split(b"/"))) > MAX_NAME:
        raise UsageError(
            f"{where}: '{shortened(path)}': no file can have so long a name "
            f"({len(path):,} characters)"
        )
    if not path.startswith("~"):
        return path
    try:
        return str(Path(path).expanduser())
    except RuntimeError:
        raise UsageError(
            f"{where}: {path}: there is no home folder of that name; write the path out"
        ) from None


def started_from(folder: Path, path: str, where: str) -> str:
    """A path of a suite file: from the file's folder, unless it is absolute or begins with `~`.

    Raises:
        UsageError: as for `at_home`.
    """
    path = at_home(path, where)
    if folder == Path() or Path(path).is_absolute():
        return path  # not written anew: the text is part of keys
    return str(folder / path)
