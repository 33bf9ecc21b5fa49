"""The base of data sets of somebody's own images: from whatever splits there are to three."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Final

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from hashbench.data.layouts import drawn, roles
from hashbench.data.layouts.amounts import parse_amount
from hashbench.data.layouts.roles import AUTO, Asked
from hashbench.data.lists.dataset import ListedDataset
from hashbench.data.lists.listing import ListedSplit, Listing
from hashbench.errors import UsageError
from hashbench.files import why_no_folder
from hashbench.plugins.parameters import canonical
from hashbench.retrieval.packing import MAX_CLASSES

MAX_IMAGES: Final = 2_000_000
"""Most images of a data set of one's own: ImageNet has 1,331,167."""

MAX_CELLS: Final = 1 << 27
"""Most images times classes, each of which takes a byte."""

MAX_SEED: Final = 10**30


@dataclass(frozen=True)
class Found:
    """The images of a folder, in the splits that it has.

    Attributes:
        parts: by the split's name; one of them where there are no splits.
        classes: the names of the label columns.
    """

    parts: Mapping[str, ListedSplit]
    classes: tuple[str, ...]


@dataclass(frozen=True)
class OwnDataset(ListedDataset):
    """Images of your own in a folder that you name.

    Attributes:
        k: length of the ranked list that mAP is taken over; none for the whole database.
        query: the split that images are searched with, or several as in `val+test`; by default
            `query`, else `test`, else `val`. Where there are no splits, how many images are drawn,
            or which share of them: `1000`, `0.1`, `10%`; by default a tenth.
        train: the split that models are trained on; by default `train`, else the database. Where
            there are no splits, how many images of the database, or a share of all images.
        database: the split that is searched; by default `database` or `gallery`, else the train
            set. Where there are no splits, how many images; by default all that are no queries.
        seed: of the drawing, where there are no splits.
        links: a folder that links may lead into; by default they may not leave the root.
    """

    k: int | None = None
    query: str = AUTO
    train: str = AUTO
    database: str = AUTO
    seed: int = 0
    links: Path | None = None

    holds: ClassVar[str] = "the images"

    @override
    def __post_init__(self) -> None:
        super().__post_init__()
        check_length(self.k)
        if not 0 <= self.seed < MAX_SEED:
            raise UsageError(
                f"seed must be a number from 0 on, of up to 30 digits; found {self.seed}"
            )
        for role, text in self._asked.amounts.items():
            parse_amount(text, role)

    @property
    def _asked(self) -> Asked:
        return Asked(self.train, self.query, self.database)

    @override
    def list_length(self) -> int | None:
        return self.k

    @override
    def protocol_name(self) -> str:
        """Without `wide` and `links`, which change no image that is searched."""
        return canonical(replace(self, wide=False, links=None))

    @override
    def linked(self) -> Path | None:
        return linked_folder(self.links)

    @abstractmethod
    def find(self, home: Path) -> Found:
        """The images of the folder.

        Raises:
            UsageError: it is laid out in another way, or malformed; says where.
        """

    @override
    def read(self, home: Path) -> Listing:
        """The images in three splits, as their names say or the parameters ask."""
        found = self.find(home)
        count = sum(map(len, found.parts.values()))
        check_size(home, count, len(found.classes))
        listing = _arranged(home, found, self._asked, self.seed)
        shared = listing.query.labels.any(axis=0) & listing.database.labels.any(axis=0)
        if not shared.any():
            raise UsageError(
                f"{home}: the queries and the database have no class in common, so nothing can be "
                f"found ({listing.roles})"
            )
        return listing


def check_length(k: int | None) -> None:
    """Refuse a ranked list without a place; raises UsageError."""
    if k is not None and k < 1:
        raise UsageError(f"k must be 1 or more, or none, found {k}")


def linked_folder(links: Path | None) -> Path | None:
    """The folder that links may lead into, resolved.

    Raises:
        UsageError: there is no such folder.
    """
    if links is None:
        return None
    if not links.is_dir():
        raise UsageError(f"links={links}: {why_no_folder(links)}")
    return links.resolve()


def check_size(home: Path, images: int, classes: int) -> None:
    """Refuse more images and classes than are read; raises UsageError."""
    if classes > MAX_CLASSES:
        raise UsageError(
            f"{home}: {classes:,} different classes, expected at most {MAX_CLASSES:,}; are these "
            "the labels?"
        )
    if images > MAX_IMAGES or images * classes > MAX_CELLS:
        raise UsageError(
            f"{home}: {images:,} images of {classes:,} classes, expected at most {MAX_IMAGES:,} "
            f"images, and {MAX_CELLS:,} of both multiplied"
        )


def one_hot(columns: Sequence[int], classes: int) -> NDArray[np.uint8]:
    """Label rows of images with one class each: uint8 (N, classes)."""
    labels = np.zeros((len(columns), classes), np.uint8)
    labels[np.arange(len(columns)), np.array(columns, np.int64)] = 1
    return labels


def _arranged(home: Path, found: Found, asked: Asked, seed: int) -> Listing:
    parts = found.parts
    named = roles.chosen(list(parts), asked, str(home))
    if named is not None:
        sets = {
            role: _joined(home, [parts[name] for name in names]) for role, names in named.items()
        }
        for role, split in sets.items():
            if not len(split):
                raise UsageError(f"{split.file}: the {role} split has no image")
        return Listing(home, **sets, classes=found.classes, roles=roles.described(named))
    (images,) = parts.values()
    if not len(images):
        raise UsageError(f"{images.file}: no image")
    rows = drawn.draw(images, asked.amounts, seed)
    return Listing(
        home,
        train=_taken(images, rows.train),
        query=_taken(images, rows.query),
        database=_taken(images, rows.database),
        classes=found.classes,
        roles=drawn.described(asked.amounts, seed),
    )


def _taken(images: ListedSplit, rows: NDArray[np.int64]) -> ListedSplit:
    paths = tuple(images.paths[row] for row in rows.tolist())
    return ListedSplit(
        images.file, paths, images.labels[rows], place=lambda row: images.where(int(rows[row]))
    )


def _joined(home: Path, parts: Sequence[ListedSplit]) -> ListedSplit:
    if len(parts) == 1:
        return parts[0]
    ends = np.cumsum([len(part) for part in parts])

    def place(row: int) -> str:
        part = int(np.searchsorted(ends, row, side="right"))
        return parts[part].where(row - int(ends[part]) + len(parts[part]))

    return ListedSplit(
        home,
        tuple(path for part in parts for path in part.paths),
        np.concatenate([part.labels for part in parts]),
        place=place,
    )
