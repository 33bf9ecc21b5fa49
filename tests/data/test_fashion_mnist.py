"""The full set from a folder: its split, its parameters, and who may not be a query."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hashbench.data import RetrievalData
from hashbench.data.garments.idx_folder import read_idx_folder
from hashbench.data.sets.fashion_mnist import FashionMNIST
from hashbench.errors import UsageError


def contents(images: np.ndarray) -> set[bytes]:
    return {image.tobytes() for image in images}


def test_published_files(published: Path, fashion: RetrievalData) -> None:
    data = FashionMNIST().load(published)
    source = read_idx_folder(published)
    assert np.array_equal(data.database.images[:][:, 0], source.train.images)
    assert np.array_equal(data.database.labels.argmax(axis=1), source.train.labels)
    for part, count in ((data.database, 6_000), (data.train, 500), (data.query, 100)):
        assert part.images.shape == (10 * count, 1, 28, 28)
        assert part.labels.sum(axis=0).tolist() == [count] * 10
    database, query, train = (
        contents(part.images[:]) for part in (data.database, data.query, data.train)
    )
    assert not database & query
    assert train < database
    assert query < contents(source.test.images[:, np.newaxis])
    # One rule picks for both sets: what ships is a part of this.
    assert contents(fashion.train.images[:]) < train
    assert contents(fashion.query.images[:]) < query


def test_a_query_is_never_in_the_database(small: Path) -> None:
    data = FashionMNIST(train_per_class=2, queries_per_class=5).load(small)
    assert data.query.labels.sum(axis=0).tolist() == [5] * 10
    assert not contents(data.query.images[:]) & contents(data.database.images[:])
    with pytest.raises(UsageError, match=r"queries_per_class: 6 .* 'T-shirt/top' has 5"):
        FashionMNIST(train_per_class=2, queries_per_class=6).load(small)


def test_the_train_set_is_part_of_the_database(small: Path) -> None:
    data = FashionMNIST(train_per_class=4, queries_per_class=1).load(small)
    assert len(data.database) == 120
    assert data.train.labels.sum(axis=0).tolist() == [4] * 10
    by_content = {
        image.tobytes(): labels.tobytes()
        for image, labels in zip(data.database.images[:], data.database.labels, strict=True)
    }
    for image, labels in zip(data.train.images[:], data.train.labels, strict=True):
        assert by_content[image.tobytes()] == labels.tobytes()


def test_too_large_a_train_set_names_the_parameter(small: Path) -> None:
    with pytest.raises(UsageError, match="train_per_class: 13 images"):
        FashionMNIST(train_per_class=13, queries_per_class=1).load(small)


def test_a_folder_that_changes_is_read_again(small: Path) -> None:
    plugin = FashionMNIST(train_per_class=4, queries_per_class=1)
    before = plugin.load(small).database.digest()
    assert plugin.load(small).database.digest() == before
    path = small / "train-images-idx3-ubyte"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert plugin.load(small).database.digest() != before


@pytest.mark.parametrize(
    ("name", "most"), [("train_per_class", 6_000), ("queries_per_class", 1_000)]
)
def test_ranges(name: str, most: int) -> None:
    for value in (1, most):
        FashionMNIST(**{name: value})
    for value in (0, -1, most + 1):
        with pytest.raises(UsageError, match=f"{name} must lie from 1 to .*, found {value}"):
            FashionMNIST(**{name: value})


def test_without_a_folder_the_files_are_named() -> None:
    assert FashionMNIST.needs_root
    with pytest.raises(UsageError, match=r"needs a root: .*train-images-idx3-ubyte"):
        FashionMNIST().load(None)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such folder") as caught:
        FashionMNIST().load(tmp_path / "absent")
    assert str(tmp_path / "absent") in str(caught.value)
