"""metadata.jsonl and metadata.csv: labels of every kind, splits, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashbench.data.lists.listing import Listing
from hashbench.data.sets.metadata import Metadata
from hashbench.errors import UsageError
from hashbench.plugins.parameters import build


def write(folder: Path, labels: list[Any], field: str = "label", **more: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    lines = [
        json.dumps({"file_name": f"im/{number}.png", field: label} | more, ensure_ascii=False)
        for number, label in enumerate(labels)
    ]
    (folder / "metadata.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def read(root: Path, **parameters: str) -> Listing:
    return build(Metadata, parameters).listing(root)


def classes_of(listing: Listing) -> dict[str, list[str]]:
    return {
        path: [name for name, one in zip(listing.classes, row, strict=True) if one]
        for split in listing.splits.values()
        for path, row in zip(split.paths, split.labels, strict=True)
    }


NAMES = st.sampled_from(["cat", "dog", "polar bear", "é", "a,b", "10", "x;y", "=1"])


@given(labels=st.lists(NAMES, min_size=2, max_size=8))
def test_names_come_back(tmp_path_factory: pytest.TempPathFactory, labels: list[str]) -> None:
    labels = [*labels, *["cat"] * 12]
    root = write(tmp_path_factory.mktemp("names"), labels)
    expected = {f"im/{number}.png": [label] for number, label in enumerate(labels)}
    assert classes_of(read(root)) == expected
    lists = write(tmp_path_factory.mktemp("lists"), [[label] for label in labels], "tags")
    assert classes_of(read(lists)) == expected
    nested = write(
        tmp_path_factory.mktemp("nested"), [{"categories": [label]} for label in labels], "objects"
    )
    assert classes_of(read(nested, labels="objects.categories")) == expected


@given(rows=st.lists(st.lists(st.booleans(), min_size=3, max_size=3), min_size=2, max_size=6))
def test_rows_of_0_and_1_have_to_be_said(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[bool]]
) -> None:
    rows = [*rows, *[[True, False, False]] * 40]
    root = write(tmp_path_factory.mktemp("rows"), [[int(one) for one in row] for row in rows])
    with pytest.raises(UsageError, match="which may be a row of 0 and 1, or class numbers"):
        read(root)
    found = classes_of(read(root, values="onehot"))
    assert found == {
        f"im/{number}.png": [str(place) for place in range(3) if row[place]]
        for number, row in enumerate(rows)
    }
    (root / "classes.txt").write_text("a\nb\nc\n")
    assert read(root, values="onehot").classes == ("a", "b", "c")


def test_class_numbers_are_classes(tmp_path: Path) -> None:
    assert read(write(tmp_path, [0, 1, 10, 2] * 5)).classes == ("0", "1", "2", "10")
    assert read(write(tmp_path, [[0, 3], [1]] * 5)).classes == ("0", "1", "3")


def test_splits_of_folders_and_of_a_field(tmp_path: Path) -> None:
    for split in ("train", "test"):
        write(tmp_path / "folders" / split, ["cat", "dog"] * 3)
    found = read(tmp_path / "folders")
    assert found.query.paths[:2] == ("test/im/0.png", "test/im/1.png")
    assert found.roles == "train from train, query from test, database from train"
    assert found.query.where(1) == f"{tmp_path}/folders/test/metadata.jsonl, line 2"
    with pytest.raises(UsageError, match="split=part is a field of one metadata file for all"):
        read(tmp_path / "folders", split="part")
    root = tmp_path / "field"
    root.mkdir()
    lines = [
        json.dumps(
            {"file_name": f"{n}.png", "label": "ab"[n % 2], "split": ("train", "val")[n > 5]}
        )
        for n in range(10)
    ]
    (root / "metadata.jsonl").write_text("\r\n".join(lines))
    assert read(root).query.paths == ("6.png", "7.png", "8.png", "9.png")
    assert len(read(root, split="none").query) == 2


def test_metadata_csv_says_the_same(tmp_path: Path) -> None:
    labels = ["cat", "dog"] * 5
    root = write(tmp_path / "jsonl", labels)
    other = tmp_path / "csv"
    other.mkdir()
    rows = "".join(f"im/{number}.png,{label}\n" for number, label in enumerate(labels))
    (other / "metadata.csv").write_text(f"\ufefffile_name,label\n{rows}")
    assert classes_of(read(other)) == classes_of(read(root))
    assert read(other).query.paths == read(root).query.paths
    (root / "metadata.csv").write_text("")
    with pytest.raises(UsageError, match=r"it holds metadata\.jsonl and metadata\.csv; remove one"):
        read(root)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("[]", "line 2: expected a JSON object, such as"),
        ("{", r"line 2: it is no JSON \(.*\); expected one JSON object a line"),
        ('{"label": "cat"}', "line 2: the field 'file_name' must be a text, found"),
        ('{"file_name": 3, "label": "cat"}', "line 2: the field 'file_name' must be a text, foun"),
        ('{"file_name": "/etc/passwd", "label": "cat"}', "line 2: .* is absolute"),
        ('{"file_name": "../x.png", "label": "cat"}', "line 2: .* has a '..' part"),
        ('{"file_name": "x.png"}', "line 2: there is no field 'label'"),
        ('{"file_name": "x.png", "label": null}', "line 2: a label must be a name or a class num"),
        ('{"file_name": "x.png", "label": true}', "line 2: a label must be a name or a class num"),
        ('{"file_name": "x.png", "label": {"a": 1}}', "found a table"),
        ('{"file_name": "x.png", "label": [["a"]]}', "line 2: a label must be a name or a class"),
        ('{"file_name": "x.png", "label": ""}', "line 2: the label is missing"),
        ('{"file_name": "x.png", "label": -1}', "line 2: the label is -1; class numbers begin at"),
        ('{"file_name": "x.png", "label": 0.5}', "line 2: the label is 0.5, which is no class"),
        (
            '{"file_name": "im/0.png", "label": "dog"}',
            "line 2: .* with other labels than in line 1",
        ),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, line: str, says: str) -> None:
    root = write(tmp_path, ["cat"])
    path = root / "metadata.jsonl"
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(UsageError, match=rf"metadata\.jsonl, .*{says}|{says}"):
        read(root)
