"""What a folder looks like, to name the right data set in the error of a wrong one."""

from __future__ import annotations

import contextlib
import os
import shlex
from collections.abc import Callable, Iterable
from enum import Enum
from itertools import islice
from pathlib import Path
from typing import Final

from hashbench.data.layouts.file_names import (
    DATASET_DICT,
    METADATA,
    ROWS,
    STATE,
    is_hidden,
    is_image,
    is_table,
)
from hashbench.data.layouts.roles import kind_of

_LOOKED_AT: Final = 2_000
"""Entries of a folder that are looked at: this is a hint in an error, not a reading."""


class Layout(Enum):
    """Layouts of a data folder: what they are called, and how their data set is written."""

    LISTS = ("the papers' list files", "lists")
    HUGGINGFACE = ("a folder of HuggingFace's datasets", "huggingface")
    METADATA = ("images beside a metadata file", "metadata")
    CSV = ("a table of image paths and labels", "csv:path=COLUMN,labels=COLUMN")
    CLASS_FOLDERS = ("class folders", "image-folder")


def looks_like(root: Path, own: Layout) -> str:
    """A clause to append to an error: what else the folder may be, and what to type; or nothing.

    Args:
        root: the folder that could not be read.
        own: the layout that it was read as.
    """
    for layout in Layout:
        if layout is not own and recognised(root, layout):
            what, name = layout.value
            return f"; this looks like {what}: use --dataset {name} --root {shlex.quote(str(root))}"
    return ""


def recognised(root: Path, layout: Layout) -> str:
    """What in a folder makes it look like one of this layout, by names alone; empty for nothing."""
    files, folders = _names(root)
    match layout:
        case Layout.LISTS:
            stems = ("train", "test", "database")
            lists = [f"{stem}{end}.txt" for stem in stems for end in ("_img", "")]
            return next((name for name in lists if name in files), "")
        case Layout.HUGGINGFACE:
            below = [f"data/{name}" for name in _names(root / "data")[0]]
            known = {DATASET_DICT, STATE}
            return _first(files | set(below), lambda name: name in known or name.endswith(ROWS))
        case Layout.METADATA:
            inside = [folder for folder in folders if kind_of(folder)]
            below = [f"{one}/{name}" for one in inside for name in _names(root / one)[0]]
            return _first(files | set(below), lambda name: name.rpartition("/")[2] in METADATA)
        case Layout.CSV:
            return _first(files, is_table)
        case Layout.CLASS_FOLDERS:
            return next((one for one in sorted(folders)[:20] if _holds_images(root / one)), "")


def _first(names: Iterable[str], fits: Callable[[str], bool]) -> str:
    return min(filter(fits, names), default="")


def _holds_images(folder: Path) -> bool:
    files, folders = _names(folder)
    return any(map(is_image, files)) or any(
        is_image(name) for below in sorted(folders)[:20] for name in _names(folder / below)[0]
    )


def _names(folder: Path) -> tuple[set[str], set[str]]:
    """Names of files and folders in a folder, as far as it is looked at; none if it cannot be."""
    files, folders = set[str](), set[str]()
    with contextlib.suppress(OSError), os.scandir(folder) as listing:
        for entry in islice(listing, _LOOKED_AT):
            if not is_hidden(entry.name):
                (folders if entry.is_dir() else files).add(entry.name)
    return files, folders
