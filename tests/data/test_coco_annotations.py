"""MS-COCO's database list is rebuilt from the official annotations, or refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hashbench.data.sets import coco_annotations as room
from hashbench.data.sets.ms_coco import MSCoco
from hashbench.errors import UsageError

# (name, id) in the order of the official file; by name: cat, dog, zebra.
CATEGORIES = [("zebra", 1), ("cat", 3), ("dog", 70)]
# image id: (category id, crowd), ...
TRAIN = {11: [(1, 0)], 12: [(3, 0), (3, 0), (70, 1)], 13: [], 14: [(70, 0)]}
VAL = {21: [(1, 0), (70, 0)], 22: [(70, 1)], 23: [(3, 0)]}
DATASET = MSCoco(any_size=True)


def annotate(home: Path, part: str, images: dict[int, list[tuple[int, int]]]) -> None:
    content = {
        "images": [{"id": n, "file_name": f"COCO_{part}_{n:012}.jpg"} for n in images],
        "annotations": [
            {"image_id": n, "category_id": c, "iscrowd": crowd, "segmentation": [[1.5, 2.5]]}
            for n, entries in images.items()
            for c, crowd in entries
        ],
        "categories": [{"id": c, "name": name} for name, c in CATEGORIES],
    }
    (home / "annotations").mkdir(exist_ok=True)
    (home / f"annotations/instances_{part}.json").write_text(json.dumps(content))


def path_of(number: int) -> str:
    part = "train2014" if number < 20 else "val2014"
    return f"{part}/COCO_{part}_{number:012}.jpg"


def write_lists(home: Path, train: dict[int, str], test: dict[int, str]) -> None:
    for stem, rows in (("train", train), ("test", test)):
        (home / f"{stem}_img.txt").write_text("".join(f"{path_of(n)}\n" for n in rows))
        (home / f"{stem}_label.txt").write_text("".join(f"{row}\n" for row in rows.values()))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    annotate(tmp_path, "train2014", TRAIN)
    annotate(tmp_path, "val2014", VAL)
    return tmp_path


def test_columns_by_name(home: Path) -> None:
    write_lists(home, {12: "1 1 0", 14: "0 1 0"}, {21: "0 1 1"})
    listing = DATASET.listing(home)
    assert listing.classes == ("cat", "dog", "zebra")
    assert listing.database.paths == tuple(path_of(n) for n in (11, 12, 14, 22, 23))
    assert listing.database.labels.tolist() == [
        [0, 0, 1], [1, 1, 0], [0, 1, 0], [0, 1, 0], [1, 0, 0],
    ]  # fmt: skip
    assert listing.database.where(3) == f"{home}/annotations"


def test_columns_by_id(home: Path) -> None:
    write_lists(home, {12: "0 1 1", 14: "0 0 1"}, {21: "1 0 1"})
    listing = DATASET.listing(home)
    assert listing.classes == ("zebra", "cat", "dog")
    assert listing.database.labels[0].tolist() == [1, 0, 0]


def test_lists_that_leave_crowds_out(home: Path) -> None:
    write_lists(home, {12: "1 0 0", 14: "0 1 0"}, {21: "0 1 1"})
    listing = DATASET.listing(home)
    assert listing.database.paths == tuple(path_of(n) for n in (11, 12, 14, 23))


def test_one_row_that_no_reading_explains_is_an_error(home: Path) -> None:
    write_lists(home, {12: "1 1 0", 14: "0 1 0"}, {21: "0 1 1", 23: "1 1 1"})
    with pytest.raises(UsageError) as caught:
        DATASET.listing(home)
    assert "1 rows differ, first" in str(caught.value)
    assert f"{home}/test_img.txt, line 2" in str(caught.value)


def test_an_image_that_is_not_annotated_is_an_error(home: Path) -> None:
    write_lists(home, {12: "1 1 0", 15: "0 1 0"}, {21: "0 1 1"})
    with pytest.raises(UsageError, match=r"train_img\.txt, line 2: 'train2014/.*15\.jpg' is not"):
        DATASET.listing(home)


def test_another_number_of_categories_is_an_error(home: Path) -> None:
    write_lists(home, {12: "1 1", 14: "0 1"}, {21: "0 1"})
    with pytest.raises(UsageError, match="3 categories, but the lists have 2 label columns"):
        DATASET.listing(home)


def test_annotations_are_parsed_once(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_lists(home, {12: "1 1 0", 14: "0 1 0"}, {21: "0 1 1"})
    first = DATASET.listing(home)
    with monkeypatch.context() as patched:
        patched.setattr(room, "_read_part", None)
        again = DATASET.listing(home)
    assert again.database.paths == first.database.paths
    assert np.array_equal(again.database.labels, first.database.labels)
    annotate(home, "val2014", {**VAL, 24: [(1, 0)]})  # by content, not by name
    assert len(DATASET.listing(home).database) == len(first.database) + 1


def test_a_database_list_that_is_there_is_taken(home: Path) -> None:
    write_lists(home, {12: "1 1 0"}, {21: "0 1 1"})
    (home / "database_img.txt").write_text(f"{path_of(12)}\n")
    (home / "database_label.txt").write_text("1 1 0\n")
    assert len(DATASET.listing(home).database) == 1


@pytest.mark.parametrize("content", ["{}", "[]", "{", '{"categories": 1}', "\xff"])
def test_other_files_are_refused(home: Path, content: str) -> None:
    write_lists(home, {12: "1 1 0"}, {21: "0 1 1"})
    path = home / "annotations/instances_val2014.json"
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(UsageError, match=r"instances_val2014\.json: no annotation file"):
        DATASET.listing(home)


def test_missing_annotations_are_named(shared_data: Callable[[str], Path]) -> None:
    with pytest.raises(UsageError) as caught:
        MSCoco().listing(shared_data("lists"))
    assert "annotations/instances_train2014.json" in str(caught.value)
    assert "database_img.txt" in str(caught.value)


# The 80 categories by ascending id, as coco256 and every detection framework have them.
BY_ID = """person, bicycle, car, motorcycle, airplane, bus, train, truck, boat, traffic light,
fire hydrant, stop sign, parking meter, bench, bird, cat, dog, horse, sheep, cow, elephant, bear,
zebra, giraffe, backpack, umbrella, handbag, tie, suitcase, frisbee, skis, snowboard, sports ball,
kite, baseball bat, baseball glove, skateboard, surfboard, tennis racket, bottle, wine glass, cup,
fork, knife, spoon, bowl, banana, apple, sandwich, orange, broccoli, carrot, hot dog, pizza, donut,
cake, chair, couch, potted plant, bed, dining table, toilet, tv, laptop, mouse, remote, keyboard,
cell phone, microwave, oven, toaster, sink, refrigerator, book, clock, vase, scissors, teddy bear,
hair drier, toothbrush"""


def test_published_columns_are_alphabetical(shared_data: Callable[[str], Path]) -> None:
    """34 photographs are in the published lists and in coco256, whose columns are by id."""
    names = BY_ID.replace("\n", " ").split(", ")
    order = sorted(range(80), key=names.__getitem__)
    published: dict[str, list[int]] = {}
    for stem in ("train", "test"):
        folder = shared_data("lists") / "MS-COCO"
        paths = (folder / f"{stem}_img.txt").read_text().split()
        labels = np.loadtxt(folder / f"{stem}_label.txt", dtype=int)
        published |= {path[-16:]: row for path, row in zip(paths, labels.tolist(), strict=True)}
    compared = 0
    for stem in ("train", "test"):
        folder = shared_data("coco256")
        paths = (folder / f"{stem}_img.txt").read_text().split()
        labels = np.loadtxt(folder / f"{stem}_label.txt", dtype=int)
        for path, row in zip(paths, labels, strict=True):
            if path[-16:] in published:
                assert row[order].tolist() == published[path[-16:]]
                compared += 1
    assert compared == 34
