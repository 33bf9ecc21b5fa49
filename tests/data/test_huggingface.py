"""Folders of HuggingFace's datasets: Arrow and Parquet, class labels, images inside of files.

The files are written with pyarrow as `datasets` 4 writes them, features in the schema's metadata.
"""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from hashbench.data import protocol_of
from hashbench.data.check import check_dataset
from hashbench.data.lists.dataset import BrokenImages
from hashbench.data.sets.huggingface import HuggingFace
from hashbench.errors import UsageError
from hashbench.plugins.parameters import build
from hashbench.progress import no_progress

PLAIN = HuggingFace(crop=6)
SPLITS = ("train", "test")
NAMES = ["cat", "dog", "bird"]
ONE = {"names": NAMES, "_type": "ClassLabel"}
FEATURES = {"image": {"_type": "Image"}, "label": ONE}


def png(number: int) -> bytes:
    content = io.BytesIO()
    Image.fromarray(np.full((6, 6, 3), number, np.uint8)).save(content, "PNG")
    return content.getvalue()


def table(
    labels: Sequence[Any],
    features: Mapping[str, Any] | None = FEATURES,
    column: str = "label",
    first: int = 0,
) -> pa.Table:
    """Rows with images of one colour, the row's number from `first` on."""
    images = [{"bytes": png(first + row), "path": f"{row}.png"} for row in range(len(labels))]
    made = pa.table({"image": images, column: labels})
    if features is None:
        return made
    info = json.dumps({"info": {"features": features}})
    return made.replace_schema_metadata({"huggingface": info})


def save_arrow(folder: Path, parts: Sequence[pa.Table], *, stream: bool = True) -> None:
    """As `save_to_disk` lays a split out."""
    folder.mkdir(parents=True)
    names = [f"data-{n:05d}-of-{len(parts):05d}.arrow" for n in range(len(parts))]
    for name, part in zip(names, parts, strict=True):
        new = pa.ipc.new_stream if stream else pa.ipc.new_file
        with pa.OSFile(str(folder / name), "wb") as sink, new(sink, part.schema) as writer:
            writer.write_table(part, max_chunksize=3)
    state = {"_data_files": [{"filename": name} for name in names], "_split": folder.name}
    (folder / "state.json").write_text(json.dumps(state))
    (folder / "dataset_info.json").write_text(json.dumps({"features": FEATURES}))


def save_dict(root: Path, **splits: Sequence[pa.Table]) -> Path:
    for name, parts in splits.items():
        save_arrow(root / name, parts)
    (root / "dataset_dict.json").write_text(json.dumps({"splits": list(splits)}))
    return root


def colours(dataset: HuggingFace, root: Path) -> dict[str, list[tuple[int, list[str]]]]:
    """For each split the colour of every image, and its classes."""
    data = dataset.load(root)
    found = {}
    for name in ("train", "query", "database"):
        part = getattr(data, name)
        classes = [
            [label for label, one in zip(data.classes, row, strict=True) if one]
            for row in part.labels
        ]
        found[name] = list(zip(part.images[:][:, 0, 0, 0].tolist(), classes, strict=True))
    return found


TRAIN, TEST = [0, 1, 2, 0, 1], [2, 1]
EXPECTED_TRAIN = [(n, [NAMES[label]]) for n, label in enumerate(TRAIN)]
EXPECTED_TEST = [(100 + n, [NAMES[label]]) for n, label in enumerate(TEST)]


def test_what_save_to_disk_writes(tmp_path: Path) -> None:
    shards = [table(TRAIN[:4]), table(TRAIN[4:], first=4)]
    root = save_dict(tmp_path / "hf", train=shards, test=[table(TEST, first=100)])
    found = colours(PLAIN, root)
    assert found["train"] == found["database"] == EXPECTED_TRAIN
    assert found["query"] == EXPECTED_TEST
    data = PLAIN.load(root)
    assert data.classes == tuple(NAMES)
    assert data.roles == "train from train, query from test, database from train"
    assert PLAIN.listing(root).train.where(4) == f"{root}/train, row 0"
    checked = check_dataset(PLAIN, root, no_progress)
    assert checked.clean
    assert checked.protocol == protocol_of(PLAIN.protocol_name(), None, data)


@pytest.mark.parametrize("names", [("data/train-00000-of-00002.parquet", "data/train-00001-of-00002.parquet", "data/test-00000-of-00001-0a1b2c3d.parquet"), ("train/0000.parquet", "train/0001.parquet", "test/0000.parquet"), ("pets-train-00000-of-00002.parquet", "pets-train-00001-of-00002.parquet", "pets-test.parquet")])  # fmt: skip  # noqa: E501
def test_parquet_as_the_hub_lays_it_out(tmp_path: Path, names: tuple[str, ...]) -> None:
    parts = [table(TRAIN[:4]), table(TRAIN[4:], first=4), table(TEST, first=100)]
    for name, part in zip(names, parts, strict=True):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        pq.write_table(part, tmp_path / name, row_group_size=3)
    found = colours(PLAIN, tmp_path)
    assert found["train"] == found["database"] == EXPECTED_TRAIN
    assert found["query"] == EXPECTED_TEST


def test_arrow_and_parquet_have_one_protocol(tmp_path: Path) -> None:
    arrow = save_dict(tmp_path / "arrow", train=[table(TRAIN)], test=[table(TEST, first=100)])
    parquet = tmp_path / "parquet"
    parquet.mkdir()
    pq.write_table(table(TRAIN), parquet / "train.parquet")
    pq.write_table(table(TEST, first=100), parquet / "test.parquet")
    cards = [protocol_of("x", None, PLAIN.load(root)) for root in (arrow, parquet)]
    assert cards[0] == cards[1]


@pytest.mark.parametrize("stream", [True, False])
def test_one_split_is_drawn_from(tmp_path: Path, stream: bool) -> None:
    root = tmp_path / "hf"
    save_arrow(root, [table([0, 1] * 10)], stream=stream)
    found = colours(PLAIN, root)
    assert sorted(found["query"] + found["database"]) == [(n, [NAMES[n % 2]]) for n in range(20)]
    assert len(found["query"]) == 2


@pytest.mark.parametrize(
    "inner",
    [
        {"feature": ONE, "_type": "Sequence"},
        {"feature": ONE, "_type": "List"},
        {"feature": ONE, "length": -1, "_type": "LargeList"},
        [ONE],
    ],
)
def test_a_sequence_of_class_labels(tmp_path: Path, inner: Any) -> None:
    features = {"image": {"_type": "Image"}, "objects": inner}
    rows = [[0, 1], [2], [], [1, 1], [0, 2]]
    part = table(pa.array(rows, pa.list_(pa.int64())), features, "objects")
    test = table(pa.array([[1, 2]], pa.list_(pa.int64())), features, "objects", first=100)
    found = colours(PLAIN, save_dict(tmp_path / "hf", train=[part], test=[test]))
    assert found["train"] == [
        (n, sorted({NAMES[one] for one in row}, key=NAMES.index)) for n, row in enumerate(rows)
    ]


def test_without_features_types_and_names_tell(tmp_path: Path) -> None:
    save_arrow(tmp_path / "a", [table(["x", "y"] * 5, None)])
    (tmp_path / "a/dataset_info.json").unlink()
    assert PLAIN.load(tmp_path / "a").classes == ("x", "y")
    part = table([7, 3] * 5, None, "target")
    save_arrow(tmp_path / "b", [part])
    assert PLAIN.load(tmp_path / "b").classes == ("3", "7")
    rows = pa.array([[1, 0, 1], [0, 1, 0]] * 5, pa.list_(pa.int64()))
    save_arrow(tmp_path / "c", [table(rows, None, "tags")])
    with pytest.raises(UsageError, match="which may be a row of 0 and 1, or class numbers"):
        PLAIN.load(tmp_path / "c")
    data = build(HuggingFace, {"crop": "6", "values": "onehot"}).load(tmp_path / "c")
    assert data.classes == ("0", "1", "2")


def test_a_split_without_labels_is_not_there(tmp_path: Path) -> None:
    root = save_dict(
        tmp_path / "hf",
        train=[table(TRAIN)],
        validation=[table(TEST, first=100)],
        test=[table([-1, -1], first=200)],
    )
    found = colours(PLAIN, root)
    assert found["query"] == EXPECTED_TEST
    assert PLAIN.load(root).roles == "train from train, query from validation, database from train"
    root = save_dict(tmp_path / "some", train=[table([0, -1, 1])], test=[table(TEST)])
    with pytest.raises(UsageError, match=r"data-00000-of-00001\.arrow, row 1: the label is miss"):
        PLAIN.load(root)
    root = save_dict(tmp_path / "none", train=[table([-1])], test=[table([None], first=9)])
    with pytest.raises(UsageError, match=r"no split has labels \(test, train\)"):
        PLAIN.load(root)


def test_broken_images_are_told_by_their_row(tmp_path: Path) -> None:
    images = [{"bytes": png(0), "path": None}, {"bytes": None, "path": "/home/x/1.png"}]
    images += [{"bytes": b"no image", "path": None}, {"bytes": png(3), "path": None}]
    part = pa.table({"image": images, "label": [0, 1, 0, 1]})
    root = save_dict(tmp_path / "hf", train=[part], test=[table(TEST, None, first=100)])
    for split in ("train", "test"):
        (root / split / "dataset_info.json").unlink()
    with pytest.raises(UsageError) as caught:
        PLAIN.load(root)
    assert "arrow#1: the row holds no bytes of an image, but the path '/home/x/1.png'" in str(
        caught.value
    )
    data = HuggingFace(crop=6, broken=BrokenImages.EXCLUDE).load(root)
    assert data.excluded == 4
    assert data.train.images[:][:, 0, 0, 0].tolist() == [0, 3]
    checked = check_dataset(HuggingFace(crop=6), root, no_progress)
    assert checked.files is not None
    assert checked.files.undecodable == 2


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    root = save_dict(tmp_path / "hf", train=[table(TRAIN)], test=[table(TEST, first=100)])
    before = PLAIN.load(root)
    part = table(TEST, first=110)
    path = root / "test/data-00000-of-00001.arrow"
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, part.schema) as writer:
        writer.write_table(part)
    after = PLAIN.load(root)
    assert after.query.images[:][:, 0, 0, 0].tolist() == [110, 111]
    assert before.train.digest() == after.train.digest()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"dataset_dict.json": "[]"}, r"dataset_dict\.json: it names no splits"),
        ({"dataset_dict.json": "{"}, r"dataset_dict\.json: it is no JSON"),
        ({"dataset_dict.json": '{"splits": ["../x"]}'}, r"has a '\.\.' part"),
        ({"train/state.json": "{}"}, r"state\.json: it names no data files"),
        (
            {"train/state.json": '{"_data_files": [{"filename": "/etc/passwd"}]}'},
            r"state\.json: .* is absolute",
        ),
        ({"train/state.json": '{"_data_files": 5}'}, r"state\.json: it names no data files"),
        ({"train/state.json": '{"_data_files": [{"filename": "../../x"}]}'}, r"has a '\.\.' part"),
        ({"train/data-00000-of-00001.arrow": ""}, "cannot be read as Arrow or Parquet"),
        ({"train/data-00000-of-00001.arrow": "ARROW1 and more"}, "cannot be read as Arrow"),
    ],
)
def test_what_is_malformed_names_its_file(
    tmp_path: Path, change: dict[str, str], says: str
) -> None:
    root = save_dict(tmp_path / "hf", train=[table(TRAIN)], test=[table(TEST, first=100)])
    for name, text in change.items():
        (root / name).write_text(text)
    with pytest.raises(UsageError, match=says):
        PLAIN.load(root)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"labels": "lable"}, "labels=COLUMN .there is no column 'lable'; image, label"),
        ({"image": "x"}, "image=COLUMN .there is no column 'x'; image, label"),
    ],
)
def test_columns_that_are_not_there(tmp_path: Path, given: dict[str, str], says: str) -> None:
    root = save_dict(tmp_path / "hf", train=[table(TRAIN)], test=[table(TEST, first=100)])
    with pytest.raises(UsageError, match=says):
        build(HuggingFace, given).load(root)


def test_two_columns_of_labels_are_to_be_chosen_from(tmp_path: Path) -> None:
    features = FEATURES | {"coarse": ONE}
    part = table(TRAIN, features).append_column("coarse", [[2, 2, 2, 1, 1]])
    part = part.replace_schema_metadata(
        {"huggingface": json.dumps({"info": {"features": features}})}
    )
    root = save_dict(tmp_path / "hf", train=[part])
    with pytest.raises(
        UsageError, match=r"labels=COLUMN .several could be meant; image, label, coa"
    ):
        PLAIN.load(root)
    found = build(HuggingFace, {"crop": "6", "labels": "coarse", "query": "2"})
    assert len(found.load(root).query) == 2


@pytest.mark.parametrize("bare", ["train", "test"])
def test_files_of_which_one_has_no_class_names_are_refused(tmp_path: Path, bare: str) -> None:
    plain = {"image": {"_type": "Image"}}
    parts = {split: [table(TRAIN, plain if split == bare else FEATURES)] for split in SPLITS}
    root = save_dict(tmp_path / "hf", **parts)
    with pytest.raises(UsageError, match="its classes are not those of the other files"):
        PLAIN.load(root)


def test_columns_that_no_file_has_are_not_counted(tmp_path: Path) -> None:
    root = save_dict(tmp_path / "hf", train=[table(TRAIN)], test=[table(TEST, first=100)])
    more = FEATURES | {"thumbnail": {"_type": "Image"}}
    (root / "dataset_info.json").write_text(json.dumps({"features": more}))
    assert colours(PLAIN, root)["query"] == EXPECTED_TEST


def test_the_package_that_is_missing_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = save_dict(tmp_path / "hf", train=[table(TRAIN)], test=[table(TEST, first=100)])
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UsageError, match=r"pip install 'hashbench\[datasets\]'"):
        PLAIN.load(root)


def test_a_folder_without_such_files(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no dataset_dict\.json, no state\.json and no \.parquet"):
        PLAIN.load(tmp_path)
