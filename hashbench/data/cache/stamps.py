"""Stamps of image files: size and times of change, to see which files must be read again.

Reads no content. A stamp only saves reading a file again; hashes are always made of content.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hashbench.data.sources import local_name

_KNOWN = 20_000
"""Folders that are remembered: each may have a name of 4,096 bytes."""


class OutsideFolderError(Exception):
    """Links lead files out of their folder.

    Attributes:
        places: positions of these files, ascending.
    """

    def __init__(self, places: tuple[int, ...]) -> None:
        super().__init__(f"links lead {len(places):,} files out of their folder")
        self.places = places


@dataclass(frozen=True)
class Stamps:
    """The state of files.

    Attributes:
        values: int64 (N, 3): size, and the times of the last change of content and of anything, in
            nanoseconds; -1 where there is no such file.
        faults: why a file cannot be used, by position.
    """

    values: NDArray[np.int64]
    faults: dict[int, str]


def stamp_files(root: Path, paths: Sequence[str], links: Path | None = None) -> Stamps:
    """Look at every file once (about 5 microseconds each).

    Args:
        root: the folder, resolved.
        paths: relative to it, without `..`.
        links: a folder beside `root`, resolved, that links may lead into; None for none.

    Raises:
        OutsideFolderError: a link leads a file out of the folder.
    """
    base = str(root)
    bases = (base,) if links is None else (base, str(links))
    inside = tuple(base.rstrip("/") + "/" for base in bases)
    folders = {"": base}
    values = np.full((len(paths), 3), -1, np.int64)
    faults: dict[int, str] = {}
    outside = []
    for place, path in enumerate(map(local_name, paths)):
        folder = path.rpartition("/")[0]
        real = _real_folder(folder, folders)
        full = f"{base}/{path}"
        if real not in bases and not real.startswith(inside):
            outside.append(place)
            continue
        try:
            status = os.lstat(full)
            if stat.S_ISLNK(status.st_mode):
                if not os.path.realpath(full).startswith(inside):
                    outside.append(place)
                    continue
                status = os.stat(full)  # noqa: PTH116 - a Path costs more than the call
        except OSError as error:
            missing = isinstance(error, FileNotFoundError | NotADirectoryError)
            faults[place] = "no such file" if missing else str(error.strerror or error)
            continue
        if not stat.S_ISREG(status.st_mode):
            faults[place] = "not a regular file"
            continue
        values[place] = status.st_size, status.st_mtime_ns, status.st_ctime_ns
    if outside:
        raise OutsideFolderError(tuple(outside))
    return Stamps(values, faults)


def _real_folder(folder: str, known: dict[str, str]) -> str:
    """A folder with its links followed, as `os.path.realpath`, but each part is looked at once.

    Args:
        folder: relative, without `.` and `..` parts.
        known: what was found so far, the folder `""` among it; more is added.
    """
    if folder not in known and len(known) > _KNOWN:
        return os.path.realpath(f"{known['']}/{folder}")
    unknown = []
    while folder not in known:
        unknown.append(folder)
        folder = folder.rpartition("/")[0]
    for part in reversed(unknown):
        above, _, name = part.rpartition("/")
        path = f"{known[above].rstrip('/')}/{name}"
        known[part] = os.path.realpath(path) if os.path.islink(path) else path  # noqa: PTH114
    return known[unknown[0] if unknown else folder]
