"""A folder of one layout, read as another: the error names the data set that reads it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from itertools import permutations
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hashbench import plugins
from hashbench.data.layouts.recognised import Layout, looks_like, recognised
from hashbench.data.lists.dataset import ListedDataset
from hashbench.errors import UsageError
from support.crafted_images import sound_image

COUNT = 8


def images(folder: Path, names: list[str]) -> None:
    for number, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(sound_image("PNG", compress_level=number % 9))


PLAIN = [f"im/{number}.png" for number in range(COUNT)]


def lists(root: Path) -> None:
    images(root, PLAIN)
    for stem, rows in (("train", PLAIN[:4]), ("database", PLAIN[:4]), ("test", PLAIN[4:])):
        (root / f"{stem}.txt").write_text("".join(f"{path} 1 0\n" for path in rows))


def lists_of_two_files(root: Path) -> None:
    images(root, PLAIN)
    for stem, rows in (("train", PLAIN[:4]), ("database", PLAIN[:4]), ("test", PLAIN[4:])):
        (root / f"{stem}_img.txt").write_text("".join(f"{path}\n" for path in rows))
        (root / f"{stem}_label.txt").write_text("1 0\n" * 4)


def class_folders(root: Path) -> None:
    images(root, [f"{c}/{number}.png" for c in ("cat", "dog") for number in range(COUNT)])


def split_folders(root: Path) -> None:
    for split in ("train", "test"):
        class_folders(root / split)


def table(root: Path) -> None:
    images(root, PLAIN)
    rows = "".join(f"{path},{number % 2}\n" for number, path in enumerate(PLAIN))
    (root / "labels.csv").write_text(f"path,label\n{rows}")


def metadata(root: Path) -> None:
    images(root, [path.removeprefix("im/") for path in PLAIN])
    lines = [
        json.dumps({"file_name": path.removeprefix("im/"), "label": number % 2})
        for number, path in enumerate(PLAIN)
    ]
    (root / "metadata.jsonl").write_text("\n".join(lines))


def metadata_by_split(root: Path) -> None:
    for split in ("train", "test"):
        (root / split).mkdir(parents=True)
        metadata(root / split)


def rows(split: str) -> pa.Table:
    content = [{"bytes": sound_image("PNG"), "path": split}] * 4
    return pa.table({"image": content, "label": [0, 1, 0, 1]})


def saved(root: Path) -> None:
    for split in ("train", "test"):
        folder = root / split
        folder.mkdir(parents=True)
        part = rows(split)
        path = str(folder / "data.arrow")
        with pa.OSFile(path, "wb") as sink, pa.ipc.new_stream(sink, part.schema) as writer:
            writer.write_table(part)
        (folder / "state.json").write_text(
            json.dumps({"_data_files": [{"filename": "data.arrow"}]})
        )
    (root / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')


def of_the_hub(root: Path) -> None:
    (root / "data").mkdir(parents=True)
    for split in ("train", "test"):
        pq.write_table(rows(split), root / f"data/{split}-00000-of-00001.parquet")


MAKERS: dict[Callable[[Path], None], Layout] = {
    lists: Layout.LISTS,
    lists_of_two_files: Layout.LISTS,
    class_folders: Layout.CLASS_FOLDERS,
    split_folders: Layout.CLASS_FOLDERS,
    table: Layout.CSV,
    metadata: Layout.METADATA,
    metadata_by_split: Layout.METADATA,
    saved: Layout.HUGGINGFACE,
    of_the_hub: Layout.HUGGINGFACE,
}


def read(name: str, root: Path) -> int:
    dataset = plugins.get("dataset", name.partition(":")[0])
    assert isinstance(dataset, ListedDataset)
    return len(dataset.listing(root).query)


@pytest.mark.parametrize("make", MAKERS)
def test_each_layout_is_read_by_its_own_data_set(
    tmp_path: Path, make: Callable[[Path], None]
) -> None:
    make(tmp_path / "photos")
    assert read(MAKERS[make].value[1], tmp_path / "photos")


@pytest.mark.parametrize(
    ("layout", "wrong", "make"),
    [
        (layout, wrong, make)
        for layout, wrong in permutations(Layout, 2)
        for make, own in MAKERS.items()
        if own is layout
    ],
)
def test_every_other_data_set_names_the_right_one(
    tmp_path: Path, layout: Layout, wrong: Layout, make: Callable[[Path], None]
) -> None:
    root = tmp_path / "my photos"
    make(root)
    with pytest.raises(UsageError) as caught:
        read(wrong.value[1], root)
    what, name = layout.value
    assert f"this looks like {what}: use --dataset {name} --root {shlex.quote(str(root))}" in str(
        caught.value
    )
    assert "\n" not in str(caught.value)


def test_published_sets_say_it_too(tmp_path: Path) -> None:
    class_folders(tmp_path)
    with pytest.raises(UsageError, match="this looks like class folders: use --dataset image-fol"):
        read("flickr25k", tmp_path)


@pytest.mark.parametrize("suffix", [".JPG", ".jfif", ".HEIC"])
def test_class_folders_are_recognised_by_whatever_the_data_set_takes_for_images(
    tmp_path: Path, suffix: str
) -> None:
    (tmp_path / "cat").mkdir()
    (tmp_path / f"cat/1{suffix}").write_bytes(b"")
    assert "use --dataset image-folder" in looks_like(tmp_path, Layout.LISTS)


@pytest.mark.parametrize("layout", Layout)
def test_an_empty_folder_and_none_look_like_nothing(tmp_path: Path, layout: Layout) -> None:
    for root in (tmp_path, tmp_path / "none"):
        assert recognised(root, layout) == ""
        assert looks_like(root, layout) == ""


@pytest.mark.parametrize("wrong", ["imagefolder", "image_folder", "ImageFolder", "images-folder"])
def test_a_name_from_elsewhere_is_led_here(wrong: str) -> None:
    with pytest.raises(UsageError, match="did you mean 'image-folder'"):
        plugins.get("dataset", wrong)
