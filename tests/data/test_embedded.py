"""The embedded file: what the script writes, small, checked when read, and split as promised."""

from __future__ import annotations

import hashlib
import json
import lzma
import tomllib
from collections import defaultdict
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hashbench.data.embedded
from hashbench.data import RetrievalData
from hashbench.data.garments import embed
from hashbench.data.garments.embedded_file import (
    content_digest,
    embedded,
    pack,
    read_packed,
    unpack,
)
from hashbench.data.garments.garments import CLASSES, Garments, GarmentSplit
from hashbench.data.garments.idx import read_content
from hashbench.data.garments.idx_folder import read_idx_folder
from hashbench.data.sets.fashion import Fashion
from hashbench.errors import UsageError
from hashbench.retrieval import chance_level

FOLDER = Path(hashbench.data.embedded.__file__).parent
PYPROJECT = Path(__file__).resolve().parents[2] / "pyproject.toml"


def contents(images: np.ndarray) -> list[bytes]:
    return [image.tobytes() for image in images]


@pytest.mark.slow
def test_the_script_writes_the_committed_files(
    published: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert embed.main([str(published), "--output", str(tmp_path / "new")]) == 0
    said = capsys.readouterr().out
    for name in ("fashion.json", "fashion.xz"):
        assert (tmp_path / "new" / name).read_bytes() == (FOLDER / name).read_bytes()
        assert str(tmp_path / "new" / name) in said


def test_the_script_writes_where_the_package_reads() -> None:
    assert embed.OUTPUT == FOLDER


def test_the_picked_are_the_first_of_their_class(published: Path, fashion: RetrievalData) -> None:
    source = read_idx_folder(published)
    for part, half, salt, counts in (
        ("train", source.train, "hashbench train", 200),
        ("database", source.train, "hashbench train", 1_000),
        ("query", source.test, "hashbench query", 50),
    ):
        expected: dict[int, set[bytes]] = defaultdict(set)
        order = sorted(
            range(len(half)), key=lambda n: hashlib.sha256(f"{salt} {n}".encode()).hexdigest()
        )
        for index in order:
            if len(expected[int(half.labels[index])]) < counts:
                expected[int(half.labels[index])].add(half.images[index].tobytes())
        found = getattr(fashion, part)
        for label in range(10):
            of_label = found.images[found.labels[:, label] == 1]
            assert set(contents(of_label)) == expected[label]


def test_the_card_names_the_published_files(published: Path) -> None:
    card = json.loads((FOLDER / "fashion.json").read_bytes())
    assert len(card["sources"]) == 4
    for name, digest in card["sources"].items():
        packed = published / f"{name}.gz"
        content = read_content(packed if packed.is_file() else published / name)
        assert hashlib.sha256(content).hexdigest() == digest


def test_sizes_classes_and_order(fashion: RetrievalData) -> None:
    assert fashion.classes == CLASSES
    for part, per_class in ((fashion.database, 1_000), (fashion.train, 200), (fashion.query, 50)):
        assert part.images.shape == (10 * per_class, 1, 28, 28)
        assert part.labels.sum(axis=0).tolist() == [per_class] * 10
        assert part.labels.sum(axis=1).tolist() == [1] * (10 * per_class)
        # Shuffled, not by class: of two neighbours, one in ten pairs shares its class.
        label = part.labels.argmax(axis=1)
        assert abs(float(np.mean(label[1:] == label[:-1])) - 0.1) < 0.05


def test_no_image_twice(fashion: RetrievalData) -> None:
    database, query = contents(fashion.database.images[:]), contents(fashion.query.images[:])
    assert len(set(database)) == len(database)
    assert len(set(query)) == len(query)
    assert not set(database) & set(query)


def test_the_train_set_lies_in_the_database(fashion: RetrievalData) -> None:
    positions = embedded().train
    assert np.array_equal(positions, np.unique(positions))
    assert np.array_equal(fashion.train.images[:], fashion.database.images[positions])
    assert np.array_equal(fashion.train.labels, fashion.database.labels[positions])
    # Spread over the database, so that its order favours no train image.
    assert abs(float(positions.mean()) / 10_000 - 0.5) < 0.03


def test_chance_level_in_closed_form(fashion: RetrievalData) -> None:
    # A random order of N with R relevant: mean over ranks i of (1 + (i - 1)(R - 1)/(N - 1)) / i.
    ranks = np.arange(1, 10_001)
    expected = float(np.mean((1 + (ranks - 1) * 999 / 9_999) / ranks))
    assert expected == pytest.approx(0.1008, abs=1e-4)
    found = chance_level(fashion.query.labels, fashion.database.labels)
    assert found == pytest.approx(expected, abs=1e-12)


def test_the_folder_is_small_and_all_of_it_is_packaged() -> None:
    shipped = [path for path in FOLDER.iterdir() if path.name != "__pycache__"]
    assert sum(path.stat().st_size for path in shipped) <= 5_000_000
    patterns = tomllib.loads(PYPROJECT.read_text())["tool"]["setuptools"]["package-data"]
    for path in shipped:
        named = (fnmatch(path.name, pattern) for pattern in patterns["hashbench.data.embedded"])
        assert path.suffix == ".py" or any(named), f"{path.name} would not be in the wheel"
    licence = (FOLDER / "LICENSE-fashion-mnist").read_text()
    assert "Copyright (c) 2017 Zalando SE, https://tech.zalando.com" in licence


def test_a_caller_may_write_into_what_it_got(fashion: RetrievalData) -> None:
    spoiled = Fashion().load(None)
    for part in (spoiled.train, spoiled.query, spoiled.database):
        part.images[:][...] = 7
        part.labels[:] = 0
    again = Fashion().load(None)
    assert again.database.digest() == fashion.database.digest()
    assert again.query.digest() == fashion.query.digest()
    with pytest.raises(ValueError, match="read-only"):
        embedded().database.images[0] = 7


def split_of(seed: int, database: int, query: int, train: int) -> GarmentSplit:
    rng = np.random.default_rng(seed)

    def garments(count: int) -> Garments:
        return Garments(
            rng.integers(0, 256, (count, 28, 28), dtype=np.uint8),
            rng.integers(0, 10, count, dtype=np.uint8),
        )

    positions = np.sort(rng.choice(database, train, replace=False)).astype(np.int64)
    return GarmentSplit(database=garments(database), train=positions, query=garments(query))


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 99),
    database=st.integers(1, 40),
    query=st.integers(0, 20),
    share=st.floats(0, 1),
)
def test_packing_is_undone(seed: int, database: int, query: int, share: float) -> None:
    split = split_of(seed, database, query, train=int(share * database))
    again = unpack(pack(split), database, query, len(split.train))
    assert np.array_equal(again.train, split.train)
    for one, other in ((again.database, split.database), (again.query, split.query)):
        assert np.array_equal(one.images, other.images)
        assert np.array_equal(one.labels, other.labels)
    assert content_digest(again) == content_digest(split)


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    for name in ("fashion.xz", "fashion.json"):
        (tmp_path / name).write_bytes((FOLDER / name).read_bytes())
    return tmp_path


def test_a_sound_copy_is_read(copied: Path) -> None:
    assert content_digest(read_packed(copied)) == content_digest(embedded())


def damaged(folder: Path) -> str:
    with pytest.raises(UsageError) as caught:
        read_packed(folder)
    message = str(caught.value)
    assert str(folder) in message
    assert "python -m hashbench.data.garments.embed" in message
    return message


@pytest.mark.parametrize("at", [3, 2_000_000, -20])
def test_a_flipped_bit_is_found(copied: Path, at: int) -> None:
    content = bytearray((copied / "fashion.xz").read_bytes())
    content[at] ^= 1
    (copied / "fashion.xz").write_bytes(content)
    damaged(copied)


def test_a_cut_file_is_found(copied: Path) -> None:
    content = (copied / "fashion.xz").read_bytes()
    (copied / "fashion.xz").write_bytes(content[: len(content) // 2])
    damaged(copied)


@pytest.mark.parametrize("offset", [0, 10_000 * 784, 10_000 * 785, -1])
def test_a_sound_file_with_other_content_is_found(copied: Path, offset: int) -> None:
    # One pixel, one database label, one train position, one query label; order kept where it can.
    content = bytearray(lzma.decompress((copied / "fashion.xz").read_bytes()))
    content[offset] ^= 1
    (copied / "fashion.xz").write_bytes(lzma.compress(content, preset=0))
    assert "SHA-256" in damaged(copied)


@pytest.mark.parametrize("name", ["fashion.xz", "fashion.json"])
def test_a_missing_file_is_named(copied: Path, name: str) -> None:
    (copied / name).unlink()
    assert name in damaged(copied)


@pytest.mark.parametrize(
    "card",
    [b"", b"[]", b"{}", b"\xff", b'{"database": 1}'],
    ids=["empty", "list", "no fields", "no text", "few fields"],
)
def test_a_damaged_card_is_found(copied: Path, card: bytes) -> None:
    (copied / "fashion.json").write_bytes(card)
    damaged(copied)


@pytest.mark.parametrize("value", [9_999, 0, -1, "10000", None])
def test_a_card_with_another_count_is_found(copied: Path, value: object) -> None:
    card = json.loads((copied / "fashion.json").read_bytes())
    (copied / "fashion.json").write_text(json.dumps({**card, "database": value}))
    damaged(copied)


def test_select_takes_the_sizes_asked_for(small: Path) -> None:
    split = embed.select(read_idx_folder(small), 8, 3, 5)
    assert (len(split.database), len(split.train), len(split.query)) == (80, 30, 50)
    train = split.database.take(split.train)
    assert np.bincount(train.labels).tolist() == [3] * 10
    assert not split.database.contents() & split.query.contents()


@pytest.mark.parametrize("wrong", [["absent-folder"], [], ["a", "b"], ["a", "--unknown"]])
def test_wrong_usage_of_the_script_is_one_sentence(
    wrong: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as caught:
        embed.main(wrong)
    assert caught.value.code == 2
    assert "Traceback" not in capsys.readouterr().err


def test_too_few_images_leave_nothing_behind(
    small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        embed.main([str(small), "--output", str(tmp_path / "new")])
    assert "1000 images of each class are asked for" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()
