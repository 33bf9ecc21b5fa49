"""Label rows from MS-COCO's official annotation files; cached once they are parsed.

The published lists of the hashing papers lack the database, which is every other labelled image.
"""

from __future__ import annotations

import hashlib
import io
from array import array
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

from hashbench.atomic import write_file
from hashbench.characters import shortened, shown
from hashbench.data.cache.folder import cache_folder, storing
from hashbench.data.lists.image_paths import clean_path, quoted
from hashbench.data.lists.listing import MAX_NAME, ListedSplit
from hashbench.data.sets.json_entries import json_entries
from hashbench.data.sources import open_source
from hashbench.errors import UsageError

FORMAT = 1
PARTS = ("train2014", "val2014")
FILES = tuple(f"annotations/instances_{part}.json" for part in PARTS)

MAX_BYTES: Final = 1 << 30
"""Most bytes of an annotation file: train2014's has 330 million."""

MAX_CATEGORIES: Final = 200
MAX_IMAGES: Final = 200_000
MAX_ANNOTATIONS: Final = 650_000
MAX_OTHERS: Final = 10_000
"""Most entries of each kind; MS-COCO 2014 has 80, 82,783, 604,907, and 8 licences."""

MAX_REASON: Final = 200
"""Characters of what is said of a malformed entry."""

_Labels = NDArray[np.uint8]


@dataclass(frozen=True)
class CocoAnnotations:
    """The categories in every image.

    Attributes:
        paths: `train2014/NAME` or `val2014/NAME`, in the files' order.
        names: of the categories, by ascending id.
        objects: uint8 (N, categories): single objects are annotated.
        crowds: uint8 (N, categories): a crowd is annotated, such as 'people' in a stadium.
    """

    paths: tuple[str, ...]
    names: tuple[str, ...]
    objects: _Labels
    crowds: _Labels

    def readings(self) -> dict[str, tuple[_Labels, tuple[str, ...]]]:
        """Label rows and column names for each way in which the lists may have been made."""
        alphabetical = sorted(range(len(self.names)), key=self.names.__getitem__)
        orders = {"by name": alphabetical, "by category id": list(range(len(self.names)))}
        kinds = {"": self.objects | self.crowds, ", crowds left out": self.objects}
        return {
            order + kind: (labels[:, columns], tuple(self.names[column] for column in columns))
            for kind, labels in kinds.items()
            for order, columns in orders.items()
        }


def coco_database(
    home: Path, train: ListedSplit, query: ListedSplit
) -> tuple[ListedSplit, tuple[str, ...]]:
    """Every image with a label that is no query, and the names of the label columns.

    The columns' order, and whether crowds count, is what makes the rows of the given lists: one
    row that no reading explains is an error, since then the database's would be a guess.

    Args:
        home: holds the two annotation files.
        train: the given list.
        query: likewise.

    Raises:
        UsageError: a file is missing or malformed; a given image or row is not in it.
    """
    annotations = read_annotations(home)
    known = {path: row for row, path in enumerate(annotations.paths)}
    for split in (train, query):
        for row, path in enumerate(split.paths):
            if path not in known:
                raise UsageError(f"{split.where(row)}: '{path}' is not in {' or '.join(FILES)}")
    rows = np.array([known[path] for split in (train, query) for path in split.paths])
    given = np.concatenate([train.labels, query.labels])
    worst = len(given)
    explained = ""
    for reading, (labels, names) in annotations.readings().items():
        if labels.shape[1] != given.shape[1]:
            raise UsageError(
                f"{home / FILES[0]}: {labels.shape[1]} categories, but the lists have "
                f"{given.shape[1]} label columns"
            )
        wrong = np.flatnonzero((labels[rows] != given).any(axis=1))
        if not len(wrong):
            queries = set(query.paths)
            chosen = [
                row
                for row in np.flatnonzero(labels.any(axis=1)).tolist()
                if annotations.paths[row] not in queries
            ]
            paths = tuple(annotations.paths[row] for row in chosen)
            return ListedSplit(home / "annotations", paths, labels[chosen], lines=False), names
        if len(wrong) <= worst:
            worst, first = len(wrong), int(wrong[0])
            split, row = (train, first) if first < len(train) else (query, first - len(train))
            explained = f"with columns {reading}, {worst:,} rows differ, first {split.where(row)}"
    raise UsageError(
        f"{home}: the annotation files do not give the labels of the lists ({explained}); the "
        "database cannot be rebuilt from them: add database_img.txt and database_label.txt"
    )


def read_annotations(home: Path) -> CocoAnnotations:
    """Read both files, which takes some 10 s; the result is cached by their content.

    Raises:
        UsageError: a file is missing, cannot be read, or is malformed.
    """
    digest = hashlib.sha256(f"coco {FORMAT}".encode())
    for name in FILES:
        with open_source(home / name, MAX_BYTES) as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    cached = cache_folder() / "annotations" / f"{digest.hexdigest()}.npz"
    found = _unpacked(cached)
    if found is None:
        found = _joined(
            *(_read_part(home / name, part) for name, part in zip(FILES, PARTS, strict=True))
        )
        with storing(cached.parent, "annotations"):
            write_file(cached, _packed(found))
    return found


def _read_part(path: Path, part: str) -> CocoAnnotations:
    with open_source(path, MAX_BYTES) as file:
        try:
            return _gathered(file, part)
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
            kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
            what = shown(shortened(str(error), MAX_REASON))
            raise UsageError(
                f"{path}: no annotation file of MS-COCO instances ({kind}{what})"
            ) from None


def _gathered(file: BinaryIO, part: str) -> CocoAnnotations:
    """What one file says; nothing of the outlines, nine tenths of it, is kept."""
    categories: list[tuple[int, str]] = []
    images: dict[int, str] = {}
    marks = {name: array("q") for name in ("image_id", "category_id", "iscrowd")}
    others = 0
    for kind, entry in json_entries(file):
        match kind:
            case "categories":
                categories.append((entry["id"], _class_name(entry["name"])))
            case "images":
                images.setdefault(entry["id"], clean_path(f"{part}/{entry['file_name']}"))
            case "annotations":
                marks["image_id"].append(entry["image_id"])
                marks["category_id"].append(entry["category_id"])
                marks["iscrowd"].append(bool(entry.get("iscrowd")))
            case _:
                others += 1
        _check_sizes(len(categories), len(images), len(marks["iscrowd"]), others)
    if not categories or not images:
        raise ValueError("it has no categories or no images")
    categories.sort()
    columns = {number: column for column, (number, _) in enumerate(categories)}
    rows = {number: row for row, number in enumerate(images)}
    both = np.zeros((2, len(rows), len(columns)), np.uint8)
    for image, category, crowd in zip(*marks.values(), strict=True):
        both[crowd, rows[image], columns[category]] = 1
    names = tuple(name for _, name in categories)
    return CocoAnnotations(tuple(images.values()), names, both[0], both[1])


def _class_name(name: object) -> str:
    text = str(name)
    if len(text) > MAX_NAME or shown(text) != text:
        raise ValueError(f"a category is called {quoted(text)}")
    return text


def _check_sizes(categories: int, images: int, annotations: int, others: int) -> None:
    for what, found, most in (
        ("categories", categories, MAX_CATEGORIES),
        ("images", images, MAX_IMAGES),
        ("annotations", annotations, MAX_ANNOTATIONS),
        ("other entries", others, MAX_OTHERS),
    ):
        if found > most:
            raise ValueError(f"more than {most:,} {what}")


def _joined(first: CocoAnnotations, second: CocoAnnotations) -> CocoAnnotations:
    if first.names != second.names:
        raise UsageError(f"{FILES[0]} and {FILES[1]} have different categories")
    return CocoAnnotations(
        first.paths + second.paths,
        first.names,
        np.concatenate([first.objects, second.objects]),
        np.concatenate([first.crowds, second.crowds]),
    )


def _packed(annotations: CocoAnnotations) -> bytes:
    content = io.BytesIO()
    np.savez_compressed(
        content,
        paths=np.array(annotations.paths),
        names=np.array(annotations.names),
        objects=annotations.objects,
        crowds=annotations.crowds,
    )
    return content.getvalue()


def _unpacked(path: Path) -> CocoAnnotations | None:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return CocoAnnotations(
                tuple(arrays["paths"].tolist()),
                tuple(arrays["names"].tolist()),
                arrays["objects"],
                arrays["crowds"],
            )
    except Exception:  # a damaged archive raises a dozen kinds, and then it is made anew
        return None
