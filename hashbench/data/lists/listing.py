"""Image lists of a retrieval data set: which images each split holds, and their labels.

Two layouts are in use (CgAT, SAAT, ProS-GAN: a file of paths beside a file of label rows; HashNet,
DeepHash, DHTA: one file of lines `path 0 1 0 ...`). Reads the list files, no image.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hashbench.characters import shown
from hashbench.data.layouts.recognised import Layout, looks_like
from hashbench.data.lists.image_paths import parse_image_paths, quoted
from hashbench.data.lists.joint import parse_joint
from hashbench.data.lists.label_rows import CLASS_NUMBERS, parse_label_rows, refuse_class_numbers
from hashbench.data.sources import MAX_NAMES, read_list, read_source, told
from hashbench.errors import MissingDataError, UsageError
from hashbench.files import decoded

CLASS_NAMES = "classes.txt"
"""One class name a line, in the order of the label columns; may be missing."""

MAX_NAME: Final = 200
"""Most characters of a class name."""


@dataclass(frozen=True)
class ListedSplit:
    """One split as its list states it.

    Attributes:
        file: the list, or the official file or folder that it was rebuilt from.
        paths: of the images, relative to the data folder; may repeat.
        labels: uint8 (N, classes), 0/1.
        lines: whether line n of `file` names image n.
        place: where a row stands, for files whose lines are not images; None goes by `lines`.
    """

    file: Path
    paths: tuple[str, ...]
    labels: NDArray[np.uint8]
    lines: bool = True
    place: Callable[[int], str] | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if len(self.paths) != len(self.labels):
            raise UsageError(
                f"{self.file}: {len(self.paths)} images, but {len(self.labels)} label rows"
            )

    def __len__(self) -> int:
        return len(self.paths)

    def where(self, row: int) -> str:
        """File and line of a row, for an error."""
        if self.place is not None:
            return self.place(row)
        return f"{self.file}, line {row + 1}" if self.lines else str(self.file)


@dataclass(frozen=True)
class Listing:
    """The lists of a data set.

    Attributes:
        root: the folder that paths are relative to.
        train, query, database: the splits.
        classes: the names of the label columns.
        roles: how the three splits were chosen, in words; empty where the lists say it.
    """

    root: Path
    train: ListedSplit
    query: ListedSplit
    database: ListedSplit
    classes: tuple[str, ...]
    roles: str = ""

    def __post_init__(self) -> None:
        for name, split in self.splits.items():
            if split.labels.shape[1] != len(self.classes):
                columns = split.labels.shape[1]
                hint = f"; {CLASS_NUMBERS}" if 1 in (columns, len(self.classes)) else ""
                raise UsageError(
                    f"{split.file}: the {name} labels have {columns:,} columns, "
                    f"but there are {len(self.classes):,} classes{hint}"
                )

    @property
    def splits(self) -> dict[str, ListedSplit]:
        """The three splits by name, in the order of `RetrievalData`."""
        return {"train": self.train, "query": self.query, "database": self.database}

    @cached_property
    def distinct(self) -> tuple[str, ...]:
        """Every path once: the database's in its order, then the queries' and the train set's."""
        order = (self.database, self.query, self.train)
        return tuple(dict.fromkeys(path for split in order for path in split.paths))

    @cached_property
    def places(self) -> dict[str, NDArray[np.int64]]:
        """For each split the position of its images in `distinct`, int64 (N,)."""
        known = {path: place for place, path in enumerate(self.distinct)}
        return {
            name: np.array([known[path] for path in split.paths], np.int64)
            for name, split in self.splits.items()
        }

    def first_use(self, place: int) -> str:
        """File and line of the first row that names a distinct image, for an error."""
        for name, split in self.splits.items():
            rows = np.flatnonzero(self.places[name] == place)
            if len(rows):
                return split.where(int(rows[0]))
        raise ValueError(f"no row names image {place}")

    def refuse_overlap(self) -> None:
        """Check that no query is in the database, by path.

        Raises:
            UsageError: one is; names both lines.
        """
        shared = np.intersect1d(self.places["query"], self.places["database"])
        if len(shared):
            path = self.distinct[shared[0]]
            row = self.database.paths.index(path)
            raise UsageError(
                f"{self.query.where(self.query.paths.index(path))}: the query '{path}' is in the "
                f"database too ({self.database.where(row)}); {len(shared):,} images are in both, "
                "but a query must not find itself"
            )


def read_listing(root: Path, strip: str | None = None) -> Listing:
    """Read the lists of a folder, in whichever of the two layouts.

    Args:
        root: holds `{train,test,database}_img.txt` and `..._label.txt`, or
            `{train,test,database}.txt`; images lie below it.
        strip: what paths begin with and is taken off.

    Raises:
        UsageError: a list is missing or malformed; names the file and the line.
    """
    train = read_split(root, "train", strip)
    query = read_split(root, "test", strip)
    database = read_split(root, "database", strip)
    return Listing(root, train, query, database, class_names(root, train.labels.shape[1]))


def read_split(root: Path, stem: str, strip: str | None = None) -> ListedSplit:
    """Read `{stem}_img.txt` and `{stem}_label.txt`, or `{stem}.txt` where there is neither.

    Labels may also lie in `{stem}_label_onehot.txt`; where both are there, these are the rows of 0
    and 1, and the other holds class numbers.

    Raises:
        UsageError: a list is missing or malformed, or holds class numbers in place of rows of 0 and
            1; names the file and the line.
    """
    files = list_files(root, stem)
    if isinstance(files, Path):
        paths, rows = parse_joint(read_list(files), files, strip)
        refuse_class_numbers(rows, files)
        return ListedSplit(files, paths, rows)
    images, labels = files
    paths = parse_image_paths(read_list(images), images, strip)
    rows = parse_label_rows(read_list(labels), labels)
    check_lengths(labels, len(rows), images, len(paths))
    refuse_class_numbers(rows, labels)
    return ListedSplit(images, paths, rows)


def list_files(root: Path, stem: str, *, onehot: bool = True) -> Path | tuple[Path, Path]:
    """The list of a split: one file of paths and labels, or a file of paths and one of labels.

    Args:
        root: the folder.
        stem: of the names.
        onehot: whether a file named `..._label_onehot.txt` is taken before `..._label.txt`.

    Raises:
        UsageError: there is none.
    """
    images, labels, both = (root / f"{stem}{end}.txt" for end in ("_img", "_label", ""))
    rows = root / f"{stem}_label_onehot.txt"
    if onehot and rows.exists():
        labels = rows
    if both.exists() and not images.exists() and not labels.exists():
        return both
    if not images.exists() and not labels.exists():
        raise MissingDataError(
            f"{root}: no list of the {stem} images; expected {images.name} and {labels.name}, "
            f"or {both.name} with lines 'path 0 1 0 ...'{looks_like(root, Layout.LISTS)}"
        )
    return images, labels


def check_lengths(labels: Path, rows: int, images: Path, paths: int) -> None:
    """Refuse another number of label rows than of paths; raises UsageError."""
    if paths != rows:
        raise UsageError(
            f"{labels}: {rows:,} label rows, but {images.name} has {paths:,} images "
            f"(the shorter one ends at line {min(paths, rows):,})"
        )


def class_names(root: Path, columns: int) -> tuple[str, ...]:
    """The names in the folder's classes.txt, or 'class 0', 'class 1', ... where there is none.

    Raises:
        UsageError: there are more or fewer names than label columns, or a name is none that can be
            shown; names the file and the line.
    """
    path = root / CLASS_NAMES
    if not path.exists():
        return tuple(f"class {column}" for column in range(columns))
    names = listed_names(root)
    if len(names) != columns:
        raise UsageError(f"{path}: {len(names)} class names, but {columns} label columns")
    return names


def listed_names(root: Path) -> tuple[str, ...]:
    """The names in the folder's classes.txt, without empty lines.

    Raises:
        UsageError: a name is none that can be shown; names the file and the line.
    """
    path = root / CLASS_NAMES
    with told(path):
        text = decoded(read_source(path, MAX_NAMES))
    lines = [line.strip() for line in text.split("\n")]
    for number, line in enumerate(lines, start=1):
        if len(line) > MAX_NAME:
            raise UsageError(
                f"{path}, line {number}: a class name of {len(line):,} characters, expected at "
                f"most {MAX_NAME}"
            )
        if shown(line) != line:
            raise UsageError(
                f"{path}, line {number}: the class name {quoted(line)} holds a character that is "
                "not seen"
            )
    return tuple(line for line in lines if line)
