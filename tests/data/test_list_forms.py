"""Lists in other forms, once they are said: what numpy saves, class numbers, class names."""

from __future__ import annotations

import io
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from hashbench.data.lists.forms import ListLabels, read_formed
from hashbench.data.lists.image_paths import without_prefix
from hashbench.data.sets.any_lists import Lists
from hashbench.errors import UsageError
from hashbench.plugins.parameters import build, canonical

STEMS = ("train", "test", "database")
FORMS = ("%.18e", "%d", "%.1f", "%g", "%5.2f", "%+d")


def write(root: Path, layout: str, rows: list[str], end: str = "\n", more: str = "") -> Path:
    """The same labels for all three lists; a row's path is `STEM NUMBER.png`."""
    for stem in STEMS:
        names = [f"{stem} {number}.png" for number in range(len(rows))]
        if layout == "A":
            (root / f"{stem}_img.txt").write_bytes((end.join(names) + end + more).encode())
            (root / f"{stem}_label.txt").write_bytes((end.join(rows) + end + more).encode())
        else:
            lines = [f"{name} {row}" for name, row in zip(names, rows, strict=True)]
            (root / f"{stem}.txt").write_bytes((end.join(lines) + end + more).encode())
    return root


def labels_of(root: Path, labels: ListLabels, strip: str | None = None) -> NDArray[np.uint8]:
    listing = read_formed(root, labels, strip)
    found = [split.labels.tolist() for split in listing.splits.values()]
    assert found[0] == found[1] == found[2]
    assert listing.query.paths[0] == "test 0.png"
    return listing.train.labels


@given(
    rows=hnp.arrays(
        np.uint8, st.tuples(st.integers(1, 6), st.integers(2, 5)), elements=st.integers(0, 1)
    ),
    form=st.sampled_from(FORMS),
    between=st.sampled_from([" ", ",", ", ", "\t"]),
    negative=st.booleans(),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    more=st.sampled_from(["", "\n", " \n\r\n"]),
    layout=st.sampled_from("AB"),
)
def test_what_numpy_saves_is_read(
    tmp_path_factory: pytest.TempPathFactory,
    rows: NDArray[np.uint8],
    form: str,
    between: str,
    negative: bool,
    end: str,
    more: str,
    layout: str,
) -> None:
    written = io.StringIO()
    values = rows.astype(np.float64) * 2 - 1 if negative else rows.astype(np.float64)
    np.savetxt(written, values, fmt=form, delimiter=between)
    root = tmp_path_factory.mktemp("saved")
    write(root, layout, written.getvalue().splitlines(), end, more)
    assert labels_of(root, ListLabels.SAVETXT).tolist() == rows.tolist()


@given(
    rows=st.lists(st.sets(st.integers(0, 30), min_size=1), min_size=1, max_size=6),
    form=st.sampled_from(FORMS[:4]),
    layout=st.sampled_from("AB"),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
)
def test_class_numbers_are_read_where_they_are_said(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[set[int]],
    form: str,
    layout: str,
    end: str,
) -> None:
    between = "," if layout == "B" else " "
    texts = [between.join(form % one for one in sorted(row)) for row in rows]
    root = write(tmp_path_factory.mktemp("numbers"), layout, texts, end)
    ambiguous = any(row == {0, 1} for row in rows)  # which might be a row of 0 and 1
    if ambiguous:
        with pytest.raises(UsageError, match="say labels=savetxt if it is a row"):
            labels_of(root, ListLabels.NUMBERS)
        return
    every = sorted(set().union(*rows))
    expected = [[int(one in row) for one in every] for row in rows]
    assert labels_of(root, ListLabels.NUMBERS).tolist() == expected
    listing = read_formed(root, ListLabels.NUMBERS, None)
    assert listing.classes == tuple(map(str, every))


@pytest.mark.parametrize("layout", ["A", "B"])
@pytest.mark.parametrize("labels", ListLabels)
@pytest.mark.parametrize("values", list(product("012", repeat=3)))
def test_a_column_of_numbers_is_never_a_row(
    tmp_path: Path, layout: str, labels: ListLabels, values: tuple[str, ...]
) -> None:
    """One column is class numbers where they are said, and otherwise refused unless all are 1."""
    root = write(tmp_path, layout, list(values))
    if labels in (ListLabels.NUMBERS, ListLabels.NAMES):
        every = sorted(set(values))
        expected = [[int(one == value) for one in every] for value in values]
        assert labels_of(root, labels).tolist() == expected
    elif set(values) == {"1"}:
        assert labels_of(root, labels).tolist() == [[1]] * 3
    else:
        with pytest.raises(UsageError, match="labels=numbers"):
            read_formed(root, labels, None)


@pytest.mark.parametrize("rows", [["0 1 0", "1 0 0"], ["1 1", "0 1"], ["0 0 1 0"]])
@pytest.mark.parametrize("labels", [ListLabels.NUMBERS])
def test_rows_are_never_class_numbers(tmp_path: Path, rows: list[str], labels: ListLabels) -> None:
    with pytest.raises(UsageError, match="which may be a row of 0 and 1, or class numbers"):
        read_formed(write(tmp_path, "A", rows), labels, None)


def test_classes_txt_names_numbers_and_names(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("zebra\npolar bear\ncat\n")
    root = write(tmp_path, "A", ["2", "1", "2"])
    expected = [[0, 0, 1], [0, 1, 0], [0, 0, 1]]
    assert labels_of(root, ListLabels.NUMBERS).tolist() == expected
    write(tmp_path, "A", ["cat", "polar bear", "cat"])
    assert labels_of(root, ListLabels.NAMES).tolist() == expected
    write(tmp_path, "A", ["cat, zebra", "polar bear", "cat"])
    assert labels_of(root, ListLabels.NAMES).tolist()[0] == [1, 0, 1]
    assert read_formed(root, ListLabels.NAMES, None).classes == ("zebra", "polar bear", "cat")
    write(tmp_path, "A", ["3", "1", "2"])
    with pytest.raises(UsageError, match=r"train_img\.txt, line 1: .* nor one of its 3 lines"):
        labels_of(root, ListLabels.NUMBERS)


def test_names_behind_a_path(tmp_path: Path) -> None:
    root = write(tmp_path, "B", ["cat", "dog", "cat"])
    assert read_formed(root, ListLabels.NAMES, None).classes == ("cat", "dog")
    for stem in STEMS:
        (root / f"{stem}.txt").write_text(f"{stem} 0.png\tpolar bear\n{stem} 1.png\tcat\n")
    assert read_formed(root, ListLabels.NAMES, None).classes == ("cat", "polar bear")


def test_onehot_by_its_name(tmp_path: Path) -> None:
    root = write(tmp_path, "A", ["1 0", "0 1"])
    expected = labels_of(root, ListLabels.ONEHOT).tolist()
    for stem in STEMS:
        (root / f"{stem}_label.txt").rename(root / f"{stem}_label_onehot.txt")
    assert labels_of(root, ListLabels.ONEHOT).tolist() == expected
    assert labels_of(root, ListLabels.SAVETXT).tolist() == expected
    for stem in STEMS:
        (root / f"{stem}_label.txt").write_text("7\n3\n")
    assert labels_of(root, ListLabels.ONEHOT).tolist() == expected
    assert read_formed(root, ListLabels.NUMBERS, None).classes == ("3", "7")


@pytest.mark.parametrize(
    ("labels", "rows", "says"),
    [
        ("savetxt", ["1 0", "1 0 1"], r"line 2: 3 label columns, but line 1 has 2"),
        ("savetxt", ["1 0", "1 2"], r"line 2: labels must be 0 and 1, or -1 and 1, found '2'"),
        ("savetxt", ["1 0.5", "1 0"], r"line 1: labels must be .* found '0\.5'"),
        ("savetxt", ["1 1e1", "1 0"], r"line 1: labels must be .* found '1e1'"),
        ("savetxt", ["1 nan", "1 0"], r"line 1: labels must be .* found 'nan'"),
        ("savetxt", ["1 0", "1 -1"], r"line 2: it holds -1, but line 1 holds 0"),
        ("savetxt", ["1 -1", "1 1", "0 1"], r"line 3: it holds 0, but line 1 holds -1"),
        ("savetxt", ["1 0", "", "1 0"], r"line 2: no labels of 0, 1 or -1, but line 1 has 2"),
        ("numbers", ["1", "1.5"], r"line 2: a class number is a whole number .* found '1\.5'"),
        ("numbers", ["1", "-1"], r"line 2: a class number is a whole number .* found '-1'"),
        ("numbers", ["1", "cat"], r"line 2: .* found 'cat'; names are read with labels=names"),
        ("numbers", ["1", "1_0"], r"line 2: .* found '1_0'"),
        ("numbers", ["1", "", "1"], r"line 2: no label"),
        ("names", ["cat", "cat,"], r"line 2: the label is missing"),
        ("names", ["cat", "x" * 300], r"line 2: a label of 300 characters"),
        ("onehot", ["1.0 0.0"], r"found '1\.0'; lists:labels=savetxt reads rows of numpy"),
        ("onehot", ["1,0"], r"found '1,0'; lists:labels=savetxt reads"),
        ("onehot", ["-1 1"], r"found '-1'; lists:labels=savetxt reads"),
        ("onehot", ["cat"], r"found 'cat'; lists:labels=names reads names"),
    ],
)
def test_another_form_is_refused_with_its_line(
    tmp_path: Path, labels: str, rows: list[str], says: str
) -> None:
    with pytest.raises(UsageError, match=says):
        read_formed(write(tmp_path, "A", rows), ListLabels(labels), None)


@pytest.mark.parametrize(
    ("path", "prefix", "expected"),
    [
        ("/home/x/data/a/1.png", "/home/x/data", "a/1.png"),
        ("/home/x/data/a/1.png", "/home/x/data/", "a/1.png"),
        ("/home/x/database/1.png", "/home/x/data", "/home/x/database/1.png"),
        ("a/1.png", "/home/x/data", "a/1.png"),
        ("../data/a.png", "../data", "a.png"),
        (r"C:\data\a\1.png", r"C:\data", "a/1.png"),
        ("a.png", None, "a.png"),
    ],
)
def test_prefixes_end_at_a_folder(path: str, prefix: str | None, expected: str) -> None:
    assert without_prefix(path, prefix) == expected


@pytest.mark.parametrize("layout", ["A", "B"])
@pytest.mark.parametrize("labels", [ListLabels.ONEHOT, ListLabels.SAVETXT])
def test_a_prefix_is_taken_off(tmp_path: Path, layout: str, labels: ListLabels) -> None:
    root = write(tmp_path, layout, ["1 0", "0 1"])
    plain = read_formed(root, labels, None)
    for path in root.iterdir():
        if "label" not in path.name:
            lines = path.read_text().splitlines()
            path.write_text("".join(f"/home/x/data/{line}\n" for line in lines))
    with pytest.raises(UsageError, match=r"line 1: .* is absolute, .*strip=FOLDER, of lists"):
        read_formed(root, labels, None)
    found = read_formed(root, labels, "/home/x/data/")
    assert found.train.paths == plain.train.paths
    assert found.query.paths == plain.query.paths


def test_what_changes_no_image_is_not_in_the_protocol(tmp_path: Path) -> None:
    given = {"crop": "9", "strip": "/home/x", "links": str(tmp_path), "labels": "savetxt"}
    dataset = build(Lists, given)
    assert canonical(dataset) == f"lists:crop=9,labels=savetxt,strip=/home/x,links={tmp_path}"
    assert dataset.protocol_name() == "lists:crop=9,labels=savetxt"


def test_links_into_a_named_folder(tmp_path: Path) -> None:
    from PIL import Image

    photos, root = tmp_path / "photos", tmp_path / "lists"
    root.mkdir()
    photos.mkdir()
    write(root, "A", ["1 0", "0 1"])
    for number, name in enumerate(f"{stem} {n}.png" for stem in STEMS for n in range(2)):
        Image.fromarray(np.full((9, 9, 3), number, np.uint8)).save(photos / name)
        (root / name).symlink_to(photos / name)
    with pytest.raises(UsageError, match="takes the parameter links=FOLDER"):
        Lists(crop=9).load(root)
    with pytest.raises(UsageError, match=r"links=.*none: no such folder"):
        Lists(crop=9, links=tmp_path / "none").load(root)
    (tmp_path / "link").symlink_to(photos)
    for links in (photos, tmp_path, tmp_path / "link"):
        assert len(Lists(crop=9, links=links).load(root).database) == 2
