"""Class folders as a data set: which folder is what, the drawn split, what is refused."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hashbench.data import protocol_of
from hashbench.data.layouts.folders import Naming
from hashbench.data.lists.dataset import BrokenImages
from hashbench.data.sets.image_folder import Folders, ImageFolder
from hashbench.errors import UsageError
from hashbench.plugins.parameters import build, canonical

PLAIN = ImageFolder(crop=6)


def write(root: Path, paths: Iterable[str]) -> Path:
    """Images of these paths, each of pixels of its own, whatever the order."""
    for path in paths:
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng(list(path.encode()))
        pixels = rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(file, "PNG")
    return root


def numbered(folder: str, count: int = 3) -> list[str]:
    return [f"{folder}/{number}.png" for number in range(count)]


def splits(*names: str) -> list[str]:
    return [path for name in names for c in ("cat", "dog") for path in numbered(f"{name}/{c}")]


def paths_of(dataset: ImageFolder, root: Path) -> dict[str, set[str]]:
    listing = dataset.listing(root)
    return {role: set(split.paths) for role, split in listing.splits.items()}


@pytest.mark.parametrize(
    ("names", "train", "query", "database"),
    [
        (("train", "test"), "train", "test", "train"),
        (("train", "val", "test"), "train", "test", "train"),
        (("train", "val"), "train", "val", "train"),
        (("training", "validation"), "training", "validation", "training"),
        (("Train", "Test"), "Train", "Test", "Train"),
        (("train", "query", "test"), "train", "query", "train"),
        (("train", "query", "gallery"), "train", "query", "gallery"),
        (("train", "test", "database"), "train", "test", "database"),
        (("query", "gallery"), "gallery", "query", "gallery"),
    ],
)
def test_split_folders_are_what_their_names_say(
    tmp_path: Path, names: tuple[str, ...], train: str, query: str, database: str
) -> None:
    root = write(tmp_path, splits(*names))
    expected = {"train": train, "query": query, "database": database}
    assert paths_of(PLAIN, root) == {role: set(splits(name)) for role, name in expected.items()}
    data = PLAIN.load(root)
    assert data.roles == f"train from {train}, query from {query}, database from {database}"
    assert data.classes == ("cat", "dog")
    assert data.query.labels.tolist() == [[1, 0]] * 3 + [[0, 1]] * 3
    card = protocol_of(PLAIN.protocol_name(), None, data).to_plain()
    assert card["roles"] == data.roles


def test_parameters_choose_splits(tmp_path: Path) -> None:
    root = write(tmp_path, splits("train", "val", "test", "part1"))
    found = paths_of(build(ImageFolder, {"query": "val", "database": "train+test"}), root)
    assert found == {
        "train": set(splits("train")),
        "query": set(splits("val")),
        "database": set(splits("train", "test")),
    }
    found = paths_of(build(ImageFolder, {"query": "val", "train": "part1"}), root)
    assert found["database"] == set(splits("train"))
    listing = build(ImageFolder, {"query": "val+test"}).listing(root)
    assert listing.query.where(0) == str(root / "val")
    assert listing.query.where(6) == listing.query.where(11) == str(root / "test")


@pytest.mark.parametrize(
    ("names", "given", "says"),
    [
        (("train", "test"), {"query": "tset"}, "there is no split 'tset'; did you mean 'test'"),
        (("train", "test"), {"query": "train"}, "'train' would be queries and train or database"),
        (("train", "test"), {"query": "0.1"}, "query=0.1 says how many images are drawn, but"),
        (("train", "val", "valid"), {}, "val, valid could all be the query split; say which"),
        (("val", "test"), {}, "none of the splits test, val is the train split by its name"),
    ],
)
def test_splits_that_are_not_clear_are_refused(
    tmp_path: Path, names: tuple[str, ...], given: dict[str, str], says: str
) -> None:
    with pytest.raises(UsageError, match=says):
        build(ImageFolder, given).listing(write(tmp_path, splits(*names)))


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"query": "0"}, "a share must lie between 0 and 1"),
        ({"query": "1.5"}, "a share must lie between 0 and 1"),
        ({"train": "110%"}, "a share must lie between 0 and 1"),
        ({"query": "1/0"}, "expected a number of images, or a share"),
        ({"query": "test", "train": "10"}, "but not both"),
        ({"seed": "-1"}, "seed must be a number from 0 on"),
        ({"k": "0"}, "k must be 1 or more"),
        ({"links": "nowhere at all"}, None),
    ],
)
def test_parameters_that_mean_nothing_are_refused(given: dict[str, str], says: str | None) -> None:
    if says is None:
        with pytest.raises(UsageError, match="links=nowhere at all: no such folder"):
            build(ImageFolder, given).linked()
        return
    with pytest.raises(UsageError, match=says):
        build(ImageFolder, given)


def tree(counts: dict[str, int]) -> list[str]:
    return [path for name, count in counts.items() for path in numbered(name, count)]


def test_one_tree_is_drawn_by_class(tmp_path: Path) -> None:
    root = write(tmp_path, tree({"cat": 20, "dog": 30, "one": 1}))
    found = paths_of(PLAIN, root)
    assert found["train"] == found["database"]
    assert found["query"] | found["database"] == set(tree({"cat": 20, "dog": 30, "one": 1}))
    assert not found["query"] & found["database"]
    by_class = [path.partition("/")[0] for path in found["query"]]
    assert (by_class.count("cat"), by_class.count("dog"), by_class.count("one")) == (2, 3, 0)
    text = "drawn, seed 0: query 10%, train the database, database the rest"
    assert PLAIN.listing(root).roles == text
    exact = build(ImageFolder, {"query": "12", "train": "9", "database": "20"})
    found = paths_of(exact, root)
    assert [len(found[role]) for role in ("train", "query", "database")] == [9, 12, 20]
    assert found["train"] < found["database"]
    assert exact.listing(root).roles == "drawn, seed 0: query 12, train 9, database 20"
    other = build(ImageFolder, {"query": "12", "train": "9", "database": "20", "seed": "1"})
    assert paths_of(other, root)["query"] != found["query"]
    assert canonical(exact) == "image-folder:query=12,train=9,database=20"
    for given, says in (
        ({"query": "49"}, "query=49 asks for more images than there are for it"),
        ({"query": "10", "database": "42"}, "database=42 asks for more images"),
        ({"train": "50"}, "train=50 asks for more images"),
    ):
        with pytest.raises(UsageError, match=says):
            build(ImageFolder, given).listing(root)


def test_an_added_class_moves_no_image_of_another(tmp_path: Path) -> None:
    root = write(tmp_path, tree({"cat": 20, "dog": 30}))
    before = paths_of(PLAIN, root)
    write(root, tree({"bird": 40}))
    after = paths_of(PLAIN, root)
    assert all(before[role] < after[role] for role in before)
    before = after
    write(root, ["cat/added.png"])  # 21 images: still two queries, of which it may be one
    after = paths_of(PLAIN, root)
    assert len(before["query"] ^ after["query"]) in (0, 2)


def test_content_is_that_of_the_files_wherever_they_lie(tmp_path: Path) -> None:
    names = tree({"b": 12, "a": 9})
    one, two = write(tmp_path / "one", names), write(tmp_path / "some/two", reversed(names))
    os.utime(two / "a/1.png", (1, 1))
    cards = [protocol_of(PLAIN.protocol_name(), None, PLAIN.load(root)) for root in (one, two)]
    assert cards[0] == cards[1]


def test_what_programs_leave_is_passed_over(tmp_path: Path) -> None:
    root = write(tmp_path, splits("train", "test"))
    expected = paths_of(PLAIN, root)
    write(
        root, [".cache/a.png", "train/.thumbs/a.png", "train/cat/._0.png", "__MACOSX/train/a.png"]
    )
    (root / "train/cat/Thumbs.db").write_bytes(b"")
    (root / "README.md").write_text("")
    (root / "docs").mkdir()
    assert paths_of(PLAIN, root) == expected


def test_suffixes_of_any_case_are_images(tmp_path: Path) -> None:
    names = ["cat/1.JPG", "cat/2.JpEg", "dog/1.PNG", "dog/2.WEBP", "dog/3.tiff"]
    found = paths_of(ImageFolder(query="2"), write(tmp_path, names))
    assert found["query"] | found["database"] == set(names)


def test_an_image_of_another_format_is_told_and_not_passed_over(tmp_path: Path) -> None:
    root = write(tmp_path, tree({"cat": 3, "dog": 3}))
    (root / "cat/new.HEIC").write_bytes(b"no image")
    with pytest.raises(UsageError, match=r"cat/new\.HEIC: cannot be decoded"):
        PLAIN.load(root)


def test_nested_class_folders(tmp_path: Path) -> None:
    names = [f"{a}/{b}/{n}.png" for a in ("cat", "dog") for b in ("red", "old") for n in range(3)]
    root = write(tmp_path, names)
    assert PLAIN.load(root).classes == ("cat", "dog")
    assert ImageFolder(crop=6, classes=Naming.LEAF).load(root).classes == ("old", "red")
    by_path = ImageFolder(crop=6, classes=Naming.PATH)
    assert by_path.load(root).classes == ("cat/old", "cat/red", "dog/old", "dog/red")
    with pytest.raises(UsageError) as caught:
        PLAIN.load(write(tmp_path / "above", [f"inner/{name}" for name in names]))
    assert "there is one class, 'inner', so that" in str(caught.value)
    assert f"--root {tmp_path}/above/inner" in str(caught.value)


def test_classes_named_like_splits(tmp_path: Path) -> None:
    root = write(tmp_path, tree({"train": 5, "bus": 5}))
    assert PLAIN.load(root).classes == ("bus", "train")
    root = write(tmp_path / "both", tree({"train": 5, "test": 5}))
    with pytest.raises(UsageError, match="if the folders are the classes, say layout=classes"):
        PLAIN.load(root)
    as_classes = ImageFolder(crop=6, layout=Folders.CLASSES)
    assert as_classes.load(root).classes == ("test", "train")
    write(tmp_path / "mixed", [*splits("train", "test"), *numbered("extra/cat")])
    with pytest.raises(UsageError, match="but extra beside them hold images too; say layout=spl"):
        PLAIN.load(tmp_path / "mixed")
    as_splits = ImageFolder(crop=6, layout=Folders.SPLITS)
    assert len(as_splits.load(tmp_path / "mixed").query) == 6


def test_one_split_alone_is_drawn_from(tmp_path: Path) -> None:
    data = PLAIN.load(write(tmp_path, splits("train")))
    assert (len(data.query), len(data.database)) == (2, 4)
    assert data.classes == ("cat", "dog")


def test_a_class_may_be_missing_in_a_split(tmp_path: Path) -> None:
    root = write(
        tmp_path, [*splits("train", "test"), *numbered("train/bird"), *numbered("test/emu")]
    )
    (root / "test/bird").mkdir()
    data = PLAIN.load(root)
    assert data.classes == ("bird", "cat", "dog", "emu")
    assert data.query.labels.sum(axis=0).tolist() == [0, 3, 3, 3]
    assert data.database.labels.sum(axis=0).tolist() == [3, 3, 3, 0]


def test_no_class_in_common_is_refused(tmp_path: Path) -> None:
    root = write(tmp_path, [*tree({"train/Cat": 3, "train/Dog": 3}), *splits("test")])
    with pytest.raises(UsageError, match="the queries and the database have no class in common"):
        PLAIN.load(root)


def test_what_would_be_left_out_is_told(tmp_path: Path) -> None:
    root = write(tmp_path, tree({"cat": 3, "dog": 3}))
    expected = paths_of(PLAIN, root)
    (root / "bird").mkdir()
    (root / "emu").mkdir()
    with pytest.raises(UsageError, match=r"class folders without an image: 'bird' and 1 more; rem"):
        PLAIN.load(root)
    write(root, ["stray.png"])
    with pytest.raises(UsageError, match=r"images lie in no class folder: 'stray\.png'; move"):
        PLAIN.load(root)
    assert paths_of(ImageFolder(broken=BrokenImages.EXCLUDE), root) == expected


@pytest.mark.parametrize("paths", [(), ("a.png", "b.png")])
def test_a_folder_without_class_folders(tmp_path: Path, paths: tuple[str, ...]) -> None:
    write(tmp_path, paths)
    with pytest.raises(UsageError, match="no class folders; expected images as in"):
        PLAIN.load(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match=r"it holds (no images|images, but no class folders)"):
        PLAIN.load(tmp_path)


@pytest.mark.parametrize(
    "name",
    ["Käfer", "猫　犬", "a b", "=1+1", "\u202egnp", "👩\u200d🔬", "x" * 200, "'; DROP", "%s{0}"],
)
def test_class_names_are_text_of_any_origin(tmp_path: Path, name: str) -> None:
    data = PLAIN.load(write(tmp_path, tree({name: 3, "dog": 3})))
    assert len(data.classes) == 2
    assert all(one not in "".join(data.classes) for one in "\u202e\u200d")
    assert len(data.query) == 2


@pytest.mark.parametrize(
    ("name", "says"),
    [
        (b"caf\xe9", r"the name 'caf\\xe9' is not in UTF-8; rename it"),
        (b"a\nb", r"the name 'a\\x0ab' holds a control character; rename it"),
        (b"\x1b[2J", r"the name '\\x1b\[2J' holds a control character"),
    ],
)
def test_names_that_cannot_be_written_are_refused(tmp_path: Path, name: bytes, says: str) -> None:
    root = write(tmp_path, tree({"cat": 3, "dog": 3}))
    os.mkdir(os.path.join(os.fsencode(root), name))  # noqa: PTH102, PTH118 - bytes
    with pytest.raises(UsageError, match=says):
        PLAIN.load(root)


def test_class_numbers_are_in_the_order_of_numbers(tmp_path: Path) -> None:
    data = PLAIN.load(write(tmp_path, tree({str(n): 2 for n in range(12)})))
    assert data.classes == tuple(map(str, range(12)))


def test_links(tmp_path: Path) -> None:
    root = write(tmp_path / "root", tree({"cat": 3, "dog": 3}))
    write(tmp_path / "elsewhere", tree({"bird": 3}))
    (root / "bird").symlink_to(tmp_path / "elsewhere/bird")
    with pytest.raises(
        UsageError, match=r"bird: a link leads out of .*; the parameter links=FOLDER"
    ):
        PLAIN.load(root)
    allowed = ImageFolder(crop=6, links=tmp_path / "elsewhere")
    assert allowed.load(root).classes == ("bird", "cat", "dog")
    assert allowed.protocol_name() == "image-folder:crop=6"
    with pytest.raises(UsageError, match="bird: a link leads out of"):
        ImageFolder(crop=6, links=tmp_path / "root/cat").load(root)
    (root / "bird").unlink()
    (root / "bird").mkdir()
    (root / "bird/0.png").symlink_to(tmp_path / "elsewhere/bird/0.png")
    (root / "bird/1.png").symlink_to("../cat/0.png")
    with pytest.raises(UsageError, match=r"a link leads the path 'bird/0\.png' out of"):
        PLAIN.load(root)
    assert allowed.load(root).classes == ("bird", "cat", "dog")


def test_a_link_in_a_circle_ends(tmp_path: Path) -> None:
    root = write(tmp_path, tree({"cat": 3, "dog": 3}))
    (root / "cat/again").symlink_to(root / "cat")
    with pytest.raises(UsageError, match="again: a link leads back to a folder above it"):
        PLAIN.load(root)
    (root / "cat/again").unlink()
    (root / "cat/loop.png").symlink_to("loop.png")
    with pytest.raises(UsageError, match=r"loop\.png: Too many levels of symbolic links"):
        PLAIN.load(root)


def test_one_class_is_no_retrieval(tmp_path: Path) -> None:
    root = write(tmp_path, tree({"images": 5}))
    with pytest.raises(UsageError, match="there is one class, 'images', so that every image"):
        PLAIN.load(root)


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("train_img.txt", "lists"),
        ("metadata.jsonl", "metadata"),
        ("dataset_dict.json", "huggingface"),
        ("data.parquet", "huggingface"),
        ("labels.csv", "csv:path=COLUMN,labels=COLUMN"),
    ],
)
def test_folders_beside_lists_are_no_classes_unless_said(
    tmp_path: Path, file: str, name: str
) -> None:
    root = write(tmp_path, tree({"train2014": 4, "val2014": 4}))
    (root / file).write_text("")
    with pytest.raises(UsageError, match=f"use --dataset {name} --root .*; if its folders are"):
        PLAIN.load(root)
    assert len(ImageFolder(crop=6, layout=Folders.CLASSES).load(root).classes) == 2
