"""Fashion-MNIST as it is published: four idx files in one folder. Reads them, writes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hashbench.data.garments.garments import CLASSES, SIDE, Garments
from hashbench.data.garments.idx import find_idx, read_idx
from hashbench.errors import UsageError

IMAGES = "{part}-images-idx3-ubyte"
LABELS = "{part}-labels-idx1-ubyte"
FILES = tuple(name.format(part=part) for part in ("train", "t10k") for name in (IMAGES, LABELS))
"""The four files, each plain or with `.gz` added."""


@dataclass(frozen=True)
class IdxFolder:
    """The published halves.

    Attributes:
        train: 60,000 garments in the published set.
        test: 10,000 garments in the published set, from the files named `t10k`.
    """

    train: Garments
    test: Garments


def read_idx_folder(folder: Path) -> IdxFolder:
    """Read and check the four files.

    Nothing here tells Fashion-MNIST from another set of ten classes of 28x28 images (MNIST has the
    same file names); the protocol's hash does.

    Raises:
        UsageError: a file is missing or malformed, or two do not fit each other; names the file.
    """
    return IdxFolder(train=_read_part(folder, "train"), test=_read_part(folder, "t10k"))


def _read_part(folder: Path, part: str) -> Garments:
    image_path = find_idx(folder, IMAGES.format(part=part))
    label_path = find_idx(folder, LABELS.format(part=part))
    images, labels = read_idx(image_path, 3), read_idx(label_path, 1)
    if images.shape[1:] != (SIDE, SIDE):
        height, width = images.shape[1:]
        raise UsageError(f"{image_path}: images must be {SIDE}x{SIDE}, found {height}x{width}")
    if len(labels) != len(images):
        raise UsageError(
            f"{label_path}: {len(labels)} labels, but {image_path.name} has {len(images)} images"
        )
    if labels.max(initial=0) >= len(CLASSES):
        raise UsageError(
            f"{label_path}: labels must lie from 0 to {len(CLASSES) - 1}, found {labels.max()}"
        )
    return Garments(images, labels)
