"""Fixtures of the data room: the loaded data sets, the published files, small files made here."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from hashbench.data.images import RetrievalData
from hashbench.data.sets.fashion import Fashion
from hashbench.data.sets.outfits import Outfits

WriteIdx = Callable[..., Path]
MakeFolder = Callable[..., Path]


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of decoded images for every test."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("HASHBENCH_CACHE", str(folder))
    return folder


@pytest.fixture
def make_folder(tmp_path: Path) -> MakeFolder:
    """Writes a list folder of random images: (train, test, database, size) -> folder.

    Splits are sequences of numbers: the same number is the same file. Labels are two columns by
    whether the number is even.
    """

    def make(
        train: Sequence[int] = (2, 3),
        test: Sequence[int] = (0, 1),
        database: Sequence[int] = (2, 3, 4, 5, 6),
        size: tuple[int, int] = (12, 9),
    ) -> Path:
        root = tmp_path / "data"
        (root / "images").mkdir(parents=True)
        for number in {*train, *test, *database}:
            rng = np.random.default_rng(number)
            pixels = rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / f"images/{number}.png")
        for stem, numbers in (("train", train), ("test", test), ("database", database)):
            paths = "".join(f"images/{number}.png\n" for number in numbers)
            (root / f"{stem}_img.txt").write_text(paths)
            rows = "".join("1 0\n" if number % 2 == 0 else "0 1\n" for number in numbers)
            (root / f"{stem}_label.txt").write_text(rows)
        return root

    return make


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
