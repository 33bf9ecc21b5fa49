"""CIFAR-10's binary version: six files of records. Reads files only, and never the pickled ones.

A record is one byte of label and 3072 bytes of pixels: red, green, blue plane of 32 x 32.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hashbench.data.sources import read_source
from hashbench.errors import MissingDataError, UsageError

CLASSES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)
SIDE = 32
FILES = (*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin")
FOLDER = "cifar-10-batches-bin"
"""The archive's folder."""

_RECORD = 1 + 3 * SIDE * SIDE

MAX_BYTES = 10_000 * _RECORD
"""Most bytes of a file: all six have as many."""


@dataclass(frozen=True)
class CifarImages:
    """All images, the five training files' before the test file's.

    Attributes:
        images: uint8 (N, 3, 32, 32).
        labels: uint8 (N,), positions in `CLASSES`.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.uint8]


def read_cifar(home: Path) -> CifarImages:
    """Read the six files of a folder.

    Raises:
        UsageError: one is missing, truncated, or has a label above 9; names the file.
    """
    missing = [name for name in FILES if not (home / name).exists()]
    if missing:
        pickled = (home / "data_batch_1").is_file()
        raise MissingDataError(
            f"{home}: no {missing[0]}; expected CIFAR-10's binary version, "
            f"{', '.join(FILES[:-1])} and {FILES[-1]}"
            + ("; this is the Python version, whose pickles are not opened" if pickled else "")
        )
    records = np.concatenate([_read(home / name) for name in FILES])
    return CifarImages(
        np.ascontiguousarray(records[:, 1:]).reshape(-1, 3, SIDE, SIDE), records[:, 0].copy()
    )


def _read(path: Path) -> NDArray[np.uint8]:
    flat = np.frombuffer(read_source(path, MAX_BYTES), np.uint8)
    if not len(flat) or len(flat) % _RECORD:
        raise UsageError(
            f"{path}: {len(flat):,} bytes are not a whole number of records of {_RECORD:,}; "
            "the file is truncated or another one"
        )
    records = flat.reshape(-1, _RECORD)
    if records[:, 0].max() >= len(CLASSES):
        row = int((records[:, 0] >= len(CLASSES)).argmax())
        raise UsageError(
            f"{path}, record {row + 1}: label {records[row, 0]}, expected 0 to {len(CLASSES) - 1}"
        )
    return records
