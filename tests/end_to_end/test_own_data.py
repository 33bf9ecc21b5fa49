"""Photographs as people have them, from a folder to a leaderboard in two commands."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from support.crafted_images import sound_image
from support.trials import Trials

SMALL = ("--backbone", "small-cnn:width=4,hidden=16", "--bits", "8", "--defense", "none")
COUNT = 12
NAMES = ("cat", "dog", "bird")


@pytest.fixture(scope="module")
def trials() -> Iterator[Trials]:
    with Trials() as ready:
        yield ready


def photo(path: Path, number: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(sound_image("PNG", compress_level=number % 9))


def class_folders(root: Path) -> None:
    for name in NAMES:
        for number in range(COUNT):
            photo(root / name / f"{number}.PNG", number)


def split_folders(root: Path) -> None:
    for split in ("train", "val", "test"):
        class_folders(root / split)


def table(root: Path) -> None:
    rows = ["image;class"]
    for number in range(COUNT * len(NAMES)):
        photo(root / f"im/{number}.png", number)
        rows.append(f"im/{number}.png;{NAMES[number % 3]}")
    (root / "labels.csv").write_text("\n".join(rows))


def several_labels(root: Path) -> None:
    rows = ["path,labels"]
    for number in range(COUNT * len(NAMES)):
        photo(root / f"im/{number}.png", number)
        rows.append(f'im/{number}.png,"{NAMES[number % 3]},{NAMES[number % 2]}"')
    (root / "labels.csv").write_text("\n".join(rows))


def metadata(root: Path) -> None:
    lines = []
    for number in range(COUNT * len(NAMES)):
        photo(root / f"{number}.png", number)
        lines.append(json.dumps({"file_name": f"{number}.png", "labels": [NAMES[number % 3]]}))
    (root / "metadata.jsonl").write_text("\n".join(lines))


def parquet(root: Path) -> None:
    (root / "data").mkdir(parents=True)
    for split in ("train", "test"):
        images = [{"bytes": sound_image("PNG"), "path": None}] * COUNT
        labels = [number % 3 for number in range(COUNT)]
        part = pa.table({"image": images, "label": labels})
        pq.write_table(part, root / f"data/{split}-00000-of-00001.parquet")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "dataset"),
    [
        (class_folders, "image-folder:crop=32"),
        (split_folders, "image-folder:crop=32"),
        (table, "csv:crop=32,path=image,labels=class"),
        (several_labels, "csv:crop=32,path=path,labels=labels,separator=comma"),
        (metadata, "metadata:crop=32"),
        (parquet, "huggingface:crop=32"),
    ],
)
def test_two_commands_to_a_leaderboard(
    trials: Trials, tmp_path: Path, make: Callable[[Path], None], dataset: str
) -> None:
    make(tmp_path / "photos")
    (tmp_path / "short.toml").write_text("[training]\nepochs = 1\n")
    given = ("--dataset", dataset, "--root", "photos", "--attack", "noise", *SMALL)
    env = {"HASHBENCH_CACHE": str(tmp_path / "cache")}
    ran = trials.run("run", "short.toml", *given, "--out", "out", cwd=tmp_path, env=env)
    assert ran.code == 0, ran.err
    told = trials.run("report", "out", cwd=tmp_path, env=env)
    assert told.code == 0, told.err
    assert dataset.partition(":")[0] in told.out
    (protocol,) = {path.read_text() for path in (tmp_path / "out/plans").glob("*.json")}
    assert '"roles"' in protocol
