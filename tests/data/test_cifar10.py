"""CIFAR-10's three splits: sizes, disjointness, the same queries; its files; its resized images."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from hashbench.data import protocol_of
from hashbench.data.cache import resized as resized_room
from hashbench.data.cache.transform import Transform
from hashbench.data.sets.cifar10 import Cifar10, CifarSplit, Rows, pick_rows
from hashbench.data.sets.cifar_binary import FILES, read_cifar
from hashbench.errors import StoreError, UsageError
from hashbench.plugins.parameters import canonical

BALANCED = np.repeat(np.arange(10, dtype=np.uint8), 6000)


def write_files(folder: Path, per_file: int) -> NDArray[np.uint8]:
    """Six files of random records with labels in turn; returns all records."""
    rng = np.random.default_rng(2)
    records = rng.integers(0, 256, (6 * per_file, 3073), dtype=np.uint8)
    records[:, 0] = np.arange(len(records)) % 10
    folder.mkdir(exist_ok=True)
    for name, part in zip(FILES, np.split(records, 6), strict=True):
        (folder / name).write_bytes(part.tobytes())
    return records


def counts(rows: NDArray[np.int64]) -> list[int]:
    return [int(count) for count in np.bincount(BALANCED[rows], minlength=10)]


@pytest.mark.parametrize(
    ("split", "query", "train", "database"),
    [("cifar10", 100, 500, 5400), ("cifar10-1", 100, 500, 5900), ("cifar10-2", 1000, 5000, 5000)],
)
def test_splits_have_their_sizes(split: str, query: int, train: int, database: int) -> None:
    rows = pick_rows(BALANCED, CifarSplit(split))
    assert counts(rows.query) == [query] * 10
    assert counts(rows.train) == [train] * 10
    assert counts(rows.database) == [database] * 10
    for part in (rows.query, rows.train, rows.database):
        assert (np.diff(part) > 0).all()
    assert not np.isin(rows.query, rows.database).any()
    assert not np.isin(rows.query, rows.train).any()


def test_splits_relate_as_their_names_say() -> None:
    apart, within, whole = (pick_rows(BALANCED, split) for split in CifarSplit)
    assert not np.isin(apart.train, apart.database).any()
    assert np.isin(within.train, within.database).all()
    assert np.array_equal(whole.train, whole.database)
    assert np.array_equal(apart.query, within.query)
    assert np.array_equal(apart.train, within.train)
    assert np.isin(apart.query, whole.query).all()
    assert np.array_equal(
        np.sort(np.concatenate([within.query, within.database])), np.arange(60_000)
    )


def test_the_draw_never_changes() -> None:
    """SHA-256 of 'hashbench cifar10 N' is what ranks: the first of class 0, worked out by hand."""
    import hashlib

    ranked = sorted(
        range(6000), key=lambda n: hashlib.sha256(f"hashbench cifar10 {n}".encode()).digest()
    )
    rows = pick_rows(BALANCED, CifarSplit.APART)
    assert rows.query[:100].tolist() == sorted(ranked[:100])
    assert rows.train[:500].tolist() == sorted(ranked[100:600])


def test_records_are_read_in_order(tmp_path: Path) -> None:
    records = write_files(tmp_path, 20)
    found = read_cifar(tmp_path)
    assert found.labels.tolist() == records[:, 0].tolist()
    assert np.array_equal(found.images[7, 1, 3], records[7, 1 + 1024 + 96 : 1 + 1024 + 128])


def test_malformed_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no data_batch_1\.bin; expected CIFAR-10's binary"):
        read_cifar(tmp_path)
    (tmp_path / "data_batch_1").write_bytes(b"pickle")
    with pytest.raises(UsageError, match="whose pickles are not opened"):
        read_cifar(tmp_path)
    write_files(tmp_path, 20)
    path = tmp_path / "data_batch_3.bin"
    content = bytearray(path.read_bytes())
    path.write_bytes(content[:-1])
    with pytest.raises(UsageError, match=r"data_batch_3\.bin: 61,459 bytes are not a whole"):
        read_cifar(tmp_path)
    path.write_bytes(b"")
    with pytest.raises(UsageError, match=r"data_batch_3\.bin: 0 bytes"):
        read_cifar(tmp_path)
    content[3073 * 4] = 10
    path.write_bytes(content)
    with pytest.raises(UsageError, match=r"data_batch_3\.bin, record 5: label 10, expected 0 to 9"):
        read_cifar(tmp_path)
    path.unlink()
    with pytest.raises(UsageError, match=r"no data_batch_3\.bin"):
        read_cifar(tmp_path)


def test_too_few_images_are_refused(tmp_path: Path) -> None:
    write_files(tmp_path, 100)
    with pytest.raises(UsageError, match=r"600 images of each class are needed, .* has 60"):
        Cifar10().load(tmp_path)
    with pytest.raises(UsageError, match="needs a root"):
        Cifar10().load(None)
    with pytest.raises(UsageError, match="side must lie from 8 to 512"):
        Cifar10(side=4)


@pytest.fixture
def few(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of 120 images in the archive's place, of which a split takes 2 + 4 a class."""

    def pick(labels: NDArray[np.uint8], split: CifarSplit) -> Rows:
        assert split is CifarSplit.APART
        return Rows(*(np.arange(len(labels))[start::3] for start in range(3)))

    monkeypatch.setattr("hashbench.data.sets.cifar10.pick_rows", pick)
    write_files(tmp_path / "cifar-10-batches-bin", 20)
    return tmp_path


def test_images_and_labels(few: Path) -> None:
    records = write_files(few / "cifar-10-batches-bin", 20)
    data = Cifar10().load(few)
    for start, part in enumerate((data.train, data.query, data.database)):
        assert np.array_equal(part.images[:].reshape(40, -1), records[start::3, 1:])
        assert part.labels.argmax(axis=1).tolist() == records[start::3, 0].tolist()
        assert (part.labels.sum(axis=1) == 1).all()
    assert data.classes[3] == "cat"
    protocol = protocol_of(canonical(Cifar10()), Cifar10().list_length(), data)
    assert (protocol.dataset, protocol.top_k) == ("cifar10", None)
    assert canonical(Cifar10(split=CifarSplit.WITHIN)) == "cifar10:split=cifar10-1"


def test_resized_images_come_from_the_cache(few: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = Cifar10(side=40)
    seen: list[tuple[int, int]] = []
    dataset.prepare(few, lambda done, total: seen.append((done, total)))
    assert seen[-1] == (120, 120)
    monkeypatch.setattr(resized_room, "_write", None)  # made once
    plain, large = Cifar10().load(few), dataset.load(few)
    for name in ("train", "query", "database"):
        small = getattr(plain, name).images[:]
        expected = [
            np.asarray(
                Image.fromarray(image.transpose(1, 2, 0)).resize(
                    (40, 40), Image.Resampling.BILINEAR
                )
            ).transpose(2, 0, 1)
            for image in small
        ]
        assert np.array_equal(getattr(large, name).images[:], np.stack(expected))
        assert np.array_equal(getattr(large, name).labels, getattr(plain, name).labels)
    assert large.train.content != large.query.content
    assert large.transform == str(Transform(40, 40))


def test_resized_images_cut_short_are_made_anew(few: Path, cache: Path) -> None:
    dataset = Cifar10(side=40)
    expected = dataset.load(few).train.images[:]
    (path,) = cache.rglob("pixels-*.npy")
    path.write_bytes(path.read_bytes()[:-1])
    assert np.array_equal(dataset.load(few).train.images[:], expected)
    shutil.rmtree(cache)
    cache.write_text("")
    with pytest.raises(StoreError, match="the resized images cannot be stored"):
        dataset.load(few)
