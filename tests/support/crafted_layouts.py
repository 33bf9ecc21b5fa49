"""Folders of one's own photographs, made to break whoever reads them. The same for a seed."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pyarrow as pa
import pyarrow.parquet as pq

from support.crafted_images import crafted_images, sound_image
from support.crafted_lists import (
    LIST_CHANGES,
    NO_FILES,
    Change,
    Crafted,
    added,
    line,
    mutated,
    no_file,
    sparse,
    two_files,
    written,
)

FOLDERS, TABLE = "image-folder:crop=32", "csv:crop=32,file=labels.csv,separator=semicolon"
METADATA, ARROW = "metadata:crop=32", "huggingface:crop=32,labels=label"
STREAM = "train/data-00000-of-00001.arrow"
PARQUET = "data/train-00000-of-00001.parquet"
COUNT = 6


def _photos(root: Path, names: list[str]) -> None:
    for number, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(sound_image("PNG", compress_level=number % 9))


def folders(root: Path) -> None:
    """Two classes without splits."""
    _photos(root, [f"{name}/{number}.png" for name in ("cat", "dog") for number in range(COUNT)])


def table(root: Path) -> None:
    """A CSV of two classes, and images below."""
    names = [f"im/{number}.png" for number in range(2 * COUNT)]
    _photos(root, names)
    rows = "".join(f"{name},{'cat;dog' if n % 3 else 'dog'}\n" for n, name in enumerate(names))
    (root / "labels.csv").write_text(f"path,label\n{rows}")


def metadata(root: Path) -> None:
    """A metadata.jsonl of two classes beside its images."""
    names = [f"{number}.png" for number in range(2 * COUNT)]
    _photos(root, names)
    lines = [json.dumps({"file_name": name, "label": n % 2}) for n, name in enumerate(names)]
    (root / "metadata.jsonl").write_text("\n".join(lines) + "\n")


def numbered(root: Path) -> None:
    """The papers' lists, with class numbers for labels."""
    two_files(root)
    for path in root.glob("*_label.txt"):
        lines = path.read_text().splitlines()
        path.write_text("".join(f"{number % 2}\n" for number in range(len(lines))))


def _rows() -> pa.Table:
    images = [
        {"bytes": sound_image("PNG", compress_level=number % 9), "path": "x"}
        for number in range(2 * COUNT)
    ]
    return pa.table({"image": images, "label": [n % 2 for n in range(2 * COUNT)]})


def arrow(root: Path) -> None:
    """What `save_to_disk` writes."""
    for split in ("train", "test"):
        folder = root / split
        folder.mkdir()
        part, path = _rows(), folder / "data-00000-of-00001.arrow"
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, part.schema) as writer:
            writer.write_table(part)
        state = {"_data_files": [{"filename": path.name}]}
        (folder / "state.json").write_text(json.dumps(state))
    (root / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')


def parquet(root: Path) -> None:
    """Parquet files as the hub has them."""
    (root / "data").mkdir()
    for split in ("train", "test"):
        pq.write_table(_rows(), root / f"data/{split}-00000-of-00001.parquet")


def named(name: bytes) -> Change:
    """A class folder of this name, with an image."""

    def change(path: Path) -> None:
        folder = os.path.join(os.fsencode(path.parent), name)  # noqa: PTH118 - bytes
        os.makedirs(folder)  # noqa: PTH103
        with open(os.path.join(folder, b"1.png"), "wb") as file:  # noqa: PTH118, PTH123
            file.write(sound_image("PNG"))

    return change


def linked(target: str) -> Change:
    """A link in the folder's place."""
    return lambda path: path.symlink_to(target)


def deep(path: Path) -> None:
    """Folders in folders."""
    path.joinpath(*(["d"] * 200)).mkdir(parents=True)


FOLDER_CHANGES: dict[str, tuple[Change, str]] = {
    "latin-1": (named("é".encode("latin-1")), "data"),
    "escape": (named(b"\x1b[2J\x1b]0;owned\x07"), "data"),
    "line-feed": (named(b"a\nb"), "data"),
    "turned": (named("\u202egnp".encode()), "bird"),
    "formula": (named(b"=cmd|' !A1"), "bird"),
    "upwards": (linked("../.."), "bird"),
    "system": (linked("/proc"), "bird"),
    "root": (linked("/"), "bird"),
    "circle": (linked("bird"), "bird"),
    "itself": (linked("."), "bird"),
    "above": (linked(".."), "cat/bird"),
    "deep": (deep, "bird"),
    "empty": (lambda path: path.mkdir(), "bird"),
    "stray": (written(b"no image"), "stray.png"),
    "list": (written(b"no list"), "train.txt"),
    "table": (written(b"no table"), "labels.csv"),
}

TABLE_CHANGES: dict[str, Change] = {
    "quote": line(b'"im/1.png,cat'),
    "quotes": line(b'"im/1.png"x,cat'),
    "cells": line(lambda: b"im/1.png," + b"a," * 5_000_000),
    "cell": line(lambda: b"im/1.png," + b"a" * 200_000),
    "labels": line(lambda: b"im/1.png," + b"cat;" * 30_000),
    "classes": added(lambda: b"".join(b"im/%d.png,class %d\n" % (n, n) for n in range(100_000))),
    "returns-quoted": line(lambda: b'"' + b"\n" * 1_000_000),
    "header": written(lambda: b",".join(b"c%d" % n for n in range(20_000))),
    "header-only": written(b"path,label\n"),
}

JSON_CHANGES: dict[str, Change] = {
    "deep": line(lambda: b"[" * 200_000),
    "deep-object": line(lambda: b'{"a":' * 100_000),
    "digits": line(b'{"file_name": "1.png", "label": ' + b"1" * 100_000 + b"}"),
    "power": line(b'{"file_name": "1.png", "label": 1e999999999}'),
    "surrogate": line(b'{"file_name": "\\ud800", "label": 1}'),
    "surrogate-label": line(b'{"file_name": "1.png", "label": "\\ud800"}'),
    "turned-label": line('{"file_name": "1.png", "label": "\u202egnp"}'.encode()),
    "values": line(lambda: b'{"label": [' + b"0," * 400_000 + b"0]}"),
    "table": line(b'{"file_name": {"a": 1}, "label": 1}'),
    "null": line(b"null"),
    "nan": line(b'{"file_name": "1.png", "label": NaN}'),
}

STATE_CHANGES: dict[str, Change] = {
    "upwards": written(b'{"_data_files": [{"filename": "../../../etc/passwd"}]}'),
    "device": written(b'{"_data_files": [{"filename": "/dev/zero"}]}'),
    "types": written(b'{"_data_files": [1, null, {"filename": []}]}'),
    "number": written(b'{"_data_files": 5}'),
    "deep": written(lambda: b"[" * 200_000),
}


def crafted_layouts(rng: Random) -> Iterator[Crafted]:
    """Every layout of one's own photographs, each kind of damage; and other forms of lists."""
    for name, (change, broken) in FOLDER_CHANGES.items():
        yield Crafted(f"folders-{name}", FOLDERS, folders, change, broken)
    for number, (name, content) in enumerate(crafted_images(rng)):
        if number % 5 == 0:
            yield Crafted(f"folders-image-{name}", FOLDERS, folders, written(content), "cat/1.png")
    common = LIST_CHANGES | {kind: no_file(kind) for kind in NO_FILES}
    for dataset, make, broken, changes in (
        (TABLE, table, "labels.csv", TABLE_CHANGES),
        (METADATA, metadata, "metadata.jsonl", JSON_CHANGES),
    ):
        stem = broken.partition(".")[0]
        for name, change in (common | changes).items():
            yield Crafted(f"{stem}-{name}", dataset, make, change, broken)
        for number in range(15):
            change = mutated(Random(rng.random()))
            yield Crafted(f"{stem}-mutated-{number}", dataset, make, change, broken)
    for name, change in STATE_CHANGES.items():
        yield Crafted(f"arrow-state-{name}", ARROW, arrow, change, "train/state.json")
    for make, broken in ((arrow, STREAM), (parquet, PARQUET)):
        kind = make.__name__
        for name in NO_FILES:
            yield Crafted(f"{kind}-{name}", ARROW, make, no_file(name), broken)
        for name, change in (
            ("empty", written(b"")),
            ("blank", written(bytes(10_000))),
            ("ends", written(lambda: b"PAR1" + bytes(1_000) + b"PAR1")),
            ("magic", written(lambda: b"ARROW1\0\0" + bytes(1_000) + b"ARROW1")),
            ("claims", written(b"\xff\xff\xff\xff\xff\xff\xff\x7f" + bytes(1_000))),
            ("large", sparse(10**10)),
            ("cut", lambda path: os.truncate(path, path.stat().st_size // 2)),
        ):
            yield Crafted(f"{kind}-{name}", ARROW, make, change, broken)
        for number in range(20):
            change = mutated(Random(rng.random()))
            yield Crafted(f"{kind}-mutated-{number}", ARROW, make, change, broken)
    for form in ("savetxt", "numbers", "names"):
        for name in ("wide", "columns", "endless", "digits", "lines", "returns", "holes", "nul"):
            broken = rng.choice(("train_label.txt", "database_label.txt", "test_img.txt"))
            dataset = f"lists:crop=32,labels={form}"
            make = numbered if form == "numbers" else two_files
            yield Crafted(f"{form}:{name}-{broken}", dataset, make, LIST_CHANGES[name], broken)
