"""Fixtures of the data room: the loaded data sets, the published files, small files made here."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from hashbench.data.fashion import Fashion
from hashbench.data.images import RetrievalData
from hashbench.data.outfits import Outfits

WriteIdx = Callable[..., Path]


@pytest.fixture(scope="session")
def published() -> Path:
    """The folder of Fashion-MNIST's four files as they are published."""
    folder = Path(__file__).resolve().parents[2] / "../shared/data/fashion-mnist"
    if not folder.is_dir():
        pytest.skip("the published idx files of Fashion-MNIST are not next to the checkout")
    return folder.resolve()


@pytest.fixture(scope="session")
def fashion() -> RetrievalData:
    return Fashion().load(None)


@pytest.fixture(scope="session")
def outfits() -> RetrievalData:
    return Outfits().load(None)


@pytest.fixture(scope="session")
def write_idx() -> WriteIdx:
    """A writer of idx files: (folder, name, array, packed=False) -> path."""

    def write(folder: Path, name: str, array: NDArray[np.uint8], packed: bool = False) -> Path:
        header = bytes((0, 0, 8, array.ndim)) + np.array(array.shape, ">u4").tobytes()
        content = header + array.tobytes()
        path = folder / (f"{name}.gz" if packed else name)
        path.write_bytes(gzip.compress(content) if packed else content)
        return path

    return write


@pytest.fixture
def small(tmp_path: Path, write_idx: WriteIdx) -> Path:
    """A folder in Fashion-MNIST's layout: 12 train and 6 test images of each class, all distinct.

    But test image 0, of class 0, has the pixels of train image 0.
    """
    rng = np.random.default_rng(5)
    train = rng.integers(0, 256, (120, 28, 28), dtype=np.uint8)
    test = rng.integers(0, 256, (60, 28, 28), dtype=np.uint8)
    test[0] = train[0]
    for part, images in (("train", train), ("t10k", test)):
        labels = (np.arange(len(images)) % 10).astype(np.uint8)
        write_idx(tmp_path, f"{part}-images-idx3-ubyte", images)
        write_idx(tmp_path, f"{part}-labels-idx1-ubyte", labels)
    return tmp_path
