"""Folders of the published data sets, made to break whoever reads them. The same for a seed."""

from __future__ import annotations

import gzip
import json
import struct
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

from support.crafted_images import Content, made
from support.crafted_lists import (
    NO_FILES,
    Change,
    Crafted,
    mutated,
    no_file,
    sparse,
    write_images,
    written,
)

COCO, NUS = "ms-coco:crop=32,any_size=true", "nus-wide:crop=32,any_size=true"
ANNOTATIONS = "annotations/instances_val2014.json"
GARMENTS = "fashion-mnist:train_per_class=1,queries_per_class=1"
IMAGES = "train-images-idx3-ubyte"


def coco(root: Path) -> None:
    """MS-COCO's lists of two rows each, and annotations from which the database is rebuilt."""
    (root / "annotations").mkdir()
    for part, first in (("train2014", 0), ("val2014", 10)):
        folder = root / part
        folder.mkdir()
        write_images(folder)
        for number in range(4):
            (folder / f"im/{number}.png").rename(folder / f"{number}.png")
        table = labelled([f"{number}.png" for number in range(4)], first)
        (root / f"annotations/instances_{part}.json").write_text(json.dumps(table))
    for stem, numbers in (("train", (0, 1)), ("test", (2, 3))):
        (root / f"{stem}_img.txt").write_text("".join(f"train2014/{n}.png\n" for n in numbers))
        (root / f"{stem}_label.txt").write_text("1 0\n0 1\n")


def labelled(names: list[str], first: int = 0) -> dict[str, Any]:
    """Images of two categories in turn."""
    return {
        "info": {"year": 2014},
        "images": [{"id": first + n, "file_name": name} for n, name in enumerate(names)],
        "annotations": [
            {"image_id": first + n, "category_id": 1 + n % 2, "segmentation": [[1.5]]}
            for n in range(len(names))
        ],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
    }


def nus(root: Path) -> None:
    """NUS-WIDE's lists of two rows each, and concepts from which the database is rebuilt."""
    write_images(root)
    (root / "im").rename(root / "images")
    (root / "ImageList").mkdir()
    folder = root / "Groundtruth/AllLabels"
    folder.mkdir(parents=True)
    (root / "ImageList/Imagelist.txt").write_text("".join(f"a\\{n}.png\r\n" for n in range(6)))
    for concept, values in (("sky", "101010"), ("sea", "010101"), ("sun", "111000")):
        (folder / f"Labels_{concept}.txt").write_text("".join(f"{v}\r\n" for v in values))
    for stem, numbers in (("train", (0, 1)), ("test", (2, 3))):
        (root / f"{stem}_img.txt").write_text("".join(f"images/{n}.png\n" for n in numbers))
        (root / f"{stem}_label.txt").write_text("1 0\n0 1\n")


def cifar(root: Path) -> None:
    """Six files of ten records each: far fewer than a split takes."""
    record = b"".join(bytes([label]) + bytes(3072) for label in range(10))
    for number in range(1, 6):
        (root / f"data_batch_{number}.bin").write_bytes(record)
    (root / "test_batch.bin").write_bytes(record)


def garments(root: Path) -> None:
    """Fashion-MNIST's four files, with 30 and 20 images."""
    rng = Random(3)
    for part, count in (("train", 30), ("t10k", 20)):
        pixels = struct.pack(">IIII", 0x803, count, 28, 28) + rng.randbytes(784 * count)
        (root / f"{part}-images-idx3-ubyte").write_bytes(pixels)
        labels = struct.pack(">II", 0x801, count) + bytes(n % 10 for n in range(count))
        (root / f"{part}-labels-idx1-ubyte").write_bytes(labels)


def packed(content: Content) -> Change:
    """Put a gzip file in the file's place."""

    def change(path: Path) -> None:
        path.unlink()
        path.with_name(f"{path.name}.gz").write_bytes(made(content))

    return change


def changed(**lists: Any) -> Change:
    """Annotations with these lists in place of their own."""
    return written(lambda: json.dumps(labelled(["0.png"]) | lists).encode())


_MEMBER = gzip.compress(b"")

JSON_CHANGES: dict[str, Change] = {
    "mark": lambda path: path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes()),
    "deep": written(lambda: b"[" * 200_000),
    "deep-entry": written(lambda: b'{"images": [' + b"[" * 100_000 + b"]" * 100_000 + b"]}"),
    "deep-skipped": written(lambda: b'{"info": ' + b'{"a":' * 100_000),
    "digits": written(b'{"images": [{"id": ' + b"1" * 100_000 + b"}]}"),
    "power": written(b'{"images": [{"id": 1e999999999, "file_name": "a"}]}'),
    "surrogate": written(b'{"images": [{"id": 1, "file_name": "\\ud800"}]}'),
    "entry": written(lambda: b'{"images": ["' + b"a" * 30_000_000 + b'"]}'),
    "values": written(lambda: b'{"images": [' + b"0," * 5_000_000 + b"0]}"),
    "skipped": written(lambda: b'{"info": [' + b"[]," * 5_000_000 + b"[]]}"),
    "blanks": written(lambda: b" " * 40_000_000),
    "upwards": changed(images=[{"id": 0, "file_name": "../../../etc/passwd"}]),
    "device": changed(images=[{"id": 0, "file_name": "/dev/zero"}]),
    "turned": changed(images=[{"id": 0, "file_name": "\u202egnp.exe"}]),
    "escape": changed(categories=[{"id": 1, "name": "\x1b[2J"}, {"id": 2, "name": "dog"}]),
    "long": changed(categories=[{"id": 1, "name": "a" * 10_000}, {"id": 2, "name": "dog"}]),
    "many": changed(categories=[{"id": n, "name": f"c{n}"} for n in range(10_000)]),
    "marks": changed(annotations=[{"image_id": 0, "category_id": 1}] * 10_000),
    "lists": lambda path: path.write_bytes(
        b'{"annotations": [' + b'{"image_id":0,"category_id":1},' * 1_500_000 + b"0]}"
    ),
    "table": changed(images={"id": 1}),
    "strange": changed(images=[{"id": [1], "file_name": {}}]),
    "types": changed(annotations=[{"image_id": "0", "category_id": None}]),
    "overflow": changed(annotations=[{"image_id": 2**80, "category_id": 1}]),
    "unknown": changed(annotations=[{"image_id": 77, "category_id": 1}]),
    "utf-16": written('{"images": []}'.encode("utf-16")),
    "latin-1": written(b'{"images": ["\xe9"]}'),
    "large": sparse(10**10),
    "holes": sparse(5 * 10**7),
}

IDX_CHANGES: dict[str, Change] = {
    "bomb": packed(lambda: gzip.compress(bytes(300_000_000), 9)),
    "members": packed(lambda: _MEMBER * 100_000),
    "cut": packed(gzip.compress(bytes(10_000))[:-20]),
    "no-gzip": packed(b"\x1f\x8b" + bytes(100)),
    "claims": written(struct.pack(">IIII", 0x803, 2**32 - 1, 28, 28) + bytes(784)),
    "flat": written(struct.pack(">IIII", 0x803, 2**32 - 1, 0, 2**32 - 1)),
    "shape": written(struct.pack(">IIII", 0x803, 1, 784, 1) + bytes(784)),
    "kind": written(struct.pack(">IIII", 0xD03, 1, 28, 28) + bytes(784)),
    "large": sparse(10**10),
}


def crafted_sets(rng: Random) -> Iterator[Crafted]:
    """Every data set that reads files of its own kind."""
    for name, change in JSON_CHANGES.items():
        yield Crafted(f"json-{name}", COCO, coco, change, ANNOTATIONS)
    for name, change in IDX_CHANGES.items():
        yield Crafted(f"idx-{name}", GARMENTS, garments, change, IMAGES)
    concepts = ("ImageList/Imagelist.txt", "Groundtruth/AllLabels/Labels_sky.txt")
    for broken in concepts:
        for name, change in (
            ("large", sparse(10**10)),
            ("nul", written(b"a\\\0.png\n" * 6)),
            ("escape", written(b"a\\\x1b[2J.png\n" * 6)),
            ("upwards", written(b"a\\..\n" * 6)),
            ("latin-1", written("é.png\n".encode("latin-1") * 6)),
        ):
            yield Crafted(f"nus-{name}-{broken[:5]}", NUS, nus, change, broken)
    for name, change in (
        ("label", written(b"\xff" + bytes(3072))),
        ("cut", written(bytes(5_000))),
        ("empty", written(b"")),
        ("large", sparse(10**10)),
        ("records", sparse(10_001 * 3073)),
    ):
        yield Crafted(f"cifar-{name}", "cifar10", cifar, change, "data_batch_3.bin")
    places = (
        (COCO, coco, ANNOTATIONS),
        (NUS, nus, concepts[1]),
        (GARMENTS, garments, IMAGES),
        ("cifar10", cifar, "test_batch.bin"),
    )
    for dataset, make, broken in places:
        for kind in NO_FILES:
            yield Crafted(f"{dataset[:5]}-{kind}", dataset, make, no_file(kind), broken)
        for number in range(4):
            change = mutated(Random(rng.random()))
            yield Crafted(f"{dataset[:5]}-mutated-{number}", dataset, make, change, broken)
