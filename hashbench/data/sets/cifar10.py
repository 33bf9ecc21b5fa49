"""The data set `cifar10`: CIFAR-10 in the three splits that go by its name."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from hashbench.data.cache.pixel_file import IndexedPixels
from hashbench.data.cache.resized import resized_images
from hashbench.data.cache.transform import Transform
from hashbench.data.fixed_order import fixed_order
from hashbench.data.images import ImageSet, RetrievalData
from hashbench.data.sets.cifar_binary import CLASSES, FOLDER, SIDE, CifarImages, read_cifar
from hashbench.errors import UsageError
from hashbench.plugins import Dataset, dataset
from hashbench.progress import Progress, no_progress


class CifarSplit(StrEnum):
    """The splits of DeepHash's scripts, by the names that they have there."""

    APART = "cifar10"  # 1,000 queries, 5,000 train, 54,000 database without the train set
    WITHIN = "cifar10-1"  # 1,000 queries, 5,000 train, 59,000 database with the train set
    WHOLE = "cifar10-2"  # 10,000 queries, 50,000 train, which are the database


@dataclass(frozen=True)
class Rows:
    """Which images each split holds: int64 positions, ascending."""

    train: NDArray[np.int64]
    query: NDArray[np.int64]
    database: NDArray[np.int64]


@dataset(
    "cifar10",
    cite=(
        "Krizhevsky, CIFAR-10, 2009, "
        "https://www.cs.toronto.edu/~kriz/cifar.html; "
        "splits of DeepHash-pytorch, utils/tools.py"
    ),
)
@dataclass(frozen=True)
class Cifar10(Dataset):
    """CIFAR-10's 60,000 images of ten classes, in one of three splits; mAP of the whole database.

    The splits are those that papers call CIFAR-10 without saying which; their mAP differ by many
    points. DeepHash draws them without a seed, so its own cannot be had again: here the images of
    each class, of all six files, are ranked by the SHA-256 of their number, the first are the
    queries, the next the train set. Queries of `cifar10` and `cifar10-1` are the same. Root: the
    folder of the binary version's six files (`data_batch_1.bin` to `_5.bin`, `test_batch.bin`), or
    the one above it.

    Attributes:
        split: `cifar10` (database 54,000 without the train set), `cifar10-1` (59,000 with it), both
            with 1,000 queries and 5,000 train images, or `cifar10-2` (10,000 queries, the other
            50,000 train set and database).
        side: of the images; other than 32 they are resized, bilinear.
    """

    split: CifarSplit = CifarSplit.APART
    side: int = SIDE

    needs_root: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not 8 <= self.side <= 512:
            raise UsageError(f"side must lie from 8 to 512, found {self.side}")

    @property
    def transform(self) -> Transform:
        """How images are made from their records."""
        return Transform(self.side, self.side)

    @override
    def prepare(self, root: Path | None, progress: Progress) -> None:
        """Resize what the cache does not hold yet.

        Args:
            root: as for `load`.
            progress: told (done, total), in images.

        Raises:
            UsageError: as `load`.
        """
        if self.side != SIDE:
            resized_images(self._read(root).images, self.transform, progress)

    @override
    def load(self, root: Path | None) -> RetrievalData:
        """The three splits.

        Args:
            root: the folder of the six files, or the one above it.

        Raises:
            UsageError: no folder is named, a file is missing or malformed, or a class has too few
                images.
            StoreError: the cache cannot be written.
        """
        source = self._read(root)
        rows = pick_rows(source.labels, self.split)
        path = (
            None
            if self.side == SIDE
            else resized_images(source.images, self.transform, no_progress)
        )
        one_hot = np.eye(len(CLASSES), dtype=np.uint8)[source.labels]

        def image_set(chosen: NDArray[np.int64]) -> ImageSet:
            if path is None:
                return ImageSet(source.images[chosen], one_hot[chosen])
            digest = hashlib.sha256(f"cifar10 {self.transform}".encode())
            digest.update(source.images[chosen].data)
            pixels = IndexedPixels(path, chosen)
            return ImageSet(pixels, one_hot[chosen], content=digest.hexdigest())

        return RetrievalData(
            classes=CLASSES,
            train=image_set(rows.train),
            query=image_set(rows.query),
            database=image_set(rows.database),
            transform=str(self.transform),
        )

    def _read(self, root: Path | None) -> CifarImages:
        if root is None:
            raise UsageError(
                "data set 'cifar10' needs a root: name the folder of CIFAR-10's binary version "
                "(--root FOLDER)"
            )
        below = root / FOLDER
        return read_cifar(below if below.is_dir() else root)


def pick_rows(labels: NDArray[np.uint8], split: CifarSplit) -> Rows:
    """The split's rule: of each class the first in ranked order are queries, the next train.

    Args:
        labels: uint8 (N,), positions in `CLASSES`.
        split: which.

    Raises:
        UsageError: a class has too few images.
    """
    queries, trained = (1_000, 5_000) if split is CifarSplit.WHOLE else (100, 500)
    order = fixed_order("hashbench cifar10", len(labels))
    query, train, rest = [], [], []
    for number, name in enumerate(CLASSES):
        mine = order[labels[order] == number]
        if len(mine) < queries + trained:
            raise UsageError(
                f"split {split}: {queries + trained:,} images of each class are needed, but class "
                f"'{name}' has {len(mine):,}"
            )
        query.append(mine[:queries])
        train.append(mine[queries : queries + trained])
        rest.append(mine[queries + trained :])
    database = {
        CifarSplit.APART: rest,
        CifarSplit.WITHIN: [*train, *rest],
        CifarSplit.WHOLE: train,
    }[split]
    return Rows(*(np.sort(np.concatenate(parts)) for parts in (train, query, database)))
