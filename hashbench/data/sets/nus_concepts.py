r"""NUS-WIDE's official concept files, from which the papers' database list is rebuilt. Reads only.

`Groundtruth/AllLabels/Labels_CONCEPT.txt` holds 0 or 1 a line for each of the 269,648 images that
`ImageList/Imagelist.txt` names (`folder\NAME.jpg`), for each of 81 concepts.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hashbench.data.lists.image_paths import parse_path
from hashbench.data.lists.label_rows import parse_label_rows
from hashbench.data.lists.listing import ListedSplit
from hashbench.data.sources import read_list
from hashbench.errors import UsageError

IMAGES = "ImageList/Imagelist.txt"
LABELS = "Groundtruth/AllLabels"
PREFIX = "Labels_"
FOLDER = "images"
MAX_CONCEPTS = 200
"""Most concept files; there are 81."""


def nus_wide_database(
    home: Path, train: ListedSplit, query: ListedSplit
) -> tuple[ListedSplit, tuple[str, ...]]:
    """Every image with one of the lists' concepts that is no query, and the concepts' names.

    Which concepts the label columns are is found by comparison: a column is the one concept that
    agrees with it in every given row. Nothing is assumed of their order.

    Args:
        home: holds the concept files.
        train: the given list, with paths `images/NAME`.
        query: likewise.

    Raises:
        UsageError: a file is missing or malformed, an image is not in it, or a column is no
            concept, or more than one.
    """
    names = _image_names(home / IMAGES)
    known = {name: row for row, name in enumerate(names)}
    for split in (train, query):
        for row, path in enumerate(split.paths):
            if path.rpartition("/")[2] not in known:
                raise UsageError(f"{split.where(row)}: '{path}' is not in {home / IMAGES}")
    rows = np.array(
        [known[path.rpartition("/")[2]] for split in (train, query) for path in split.paths]
    )
    concepts = _concepts(home / LABELS, len(names))
    given = np.concatenate([train.labels, query.labels])
    found = []
    for column in range(given.shape[1]):
        same = [
            name for name, row in concepts.items() if np.array_equal(row[rows], given[:, column])
        ]
        if len(same) != 1:
            raise UsageError(
                f"{home / LABELS}: label column {column + 1} of the lists agrees with "
                f"{len(same)} concepts ({', '.join(same) or 'none'}), expected one; the database "
                "cannot be rebuilt: add database_img.txt and database_label.txt"
            )
        found.append(same[0])
    labels = np.stack([concepts[name] for name in found], axis=1)
    queries = {path.rpartition("/")[2] for path in query.paths}
    chosen = [row for row in np.flatnonzero(labels.any(axis=1)) if names[row] not in queries]
    paths = tuple(f"{FOLDER}/{names[row]}" for row in chosen)
    return ListedSplit(home / IMAGES, paths, labels[chosen], lines=False), tuple(found)


def _image_names(path: Path) -> list[str]:
    found = []
    for number, line in enumerate(read_list(path).split(b"\n"), start=1):
        if name := line.strip().replace(b"\\", b"/").rpartition(b"/")[2]:
            found.append(parse_path(name, path, number))
    return found


def _concepts(folder: Path, images: int) -> dict[str, NDArray[np.uint8]]:
    found = {}
    paths = sorted(folder.glob(f"{PREFIX}*.txt"))
    if len(paths) > MAX_CONCEPTS:
        raise UsageError(
            f"{folder}: {len(paths):,} files {PREFIX}CONCEPT.txt, expected at most {MAX_CONCEPTS}"
        )
    for path in paths:
        values = parse_label_rows(read_list(path), path)
        if values.shape != (images, 1):
            raise UsageError(
                f"{path}: {len(values):,} rows of {values.shape[1]} values, expected one value "
                f"for each of {images:,} images"
            )
        found[path.stem.removeprefix(PREFIX)] = values[:, 0]
    if not found:
        raise UsageError(f"{folder}: no {PREFIX}CONCEPT.txt in it")
    return found
