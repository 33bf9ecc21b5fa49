"""List files come back as they were written, in both layouts; what is malformed names its line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from hashbench.data.lists.image_paths import clean_path, parse_image_paths
from hashbench.data.lists.label_rows import parse_label_rows
from hashbench.data.lists.listing import read_listing, read_split
from hashbench.errors import UsageError

LIST = Path("list.txt")
NAMES = st.text(st.characters(codec="utf-8", categories=["L", "N", "P"], exclude_characters="/\\:"))
PARTS = NAMES.filter(lambda part: part.strip(".") != "" and part == part.strip())
PATHS = st.lists(PARTS, min_size=1, max_size=3).map("/".join)
ONE_PATH = st.lists(PATHS, min_size=1, max_size=3).map(" ".join)
"""With blanks; a path of one line may not end in a word that is a label."""
JOINT_PATHS = ONE_PATH.filter(lambda path: " " not in path or path.split(" ")[-1] not in ("0", "1"))


@st.composite
def label_rows(draw: st.DrawFn) -> NDArray[np.uint8]:
    shape = draw(st.tuples(st.integers(1, 6), st.integers(1, 5)))
    return draw(hnp.arrays(np.uint8, shape, elements=st.integers(0, 1)))


@given(
    rows=label_rows(),
    end=st.sampled_from(["\n", "\r\n", " \n", "\t\r\n"]),
    between=st.sampled_from([" ", "  ", "\t"]),
    last=st.booleans(),
)
def test_label_rows_come_back(rows: NDArray[np.uint8], end: str, between: str, last: bool) -> None:
    text = end.join(between.join(map(str, row)) for row in rows.tolist()) + end * last
    found = parse_label_rows(text.encode(), LIST)
    assert found.dtype == np.uint8
    assert found.tolist() == rows.tolist()


@given(paths=st.lists(ONE_PATH, min_size=1, max_size=5), end=st.sampled_from(["\n", "\r\n"]))
def test_paths_come_back(paths: list[str], end: str) -> None:
    assert parse_image_paths("".join(path + end for path in paths).encode(), LIST) == tuple(paths)


@given(data=st.data(), rows=label_rows())
def test_layouts_say_the_same(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, rows: NDArray[np.uint8]
) -> None:
    count = len(rows)
    paths = data.draw(st.lists(JOINT_PATHS, min_size=count, max_size=count))
    folder = tmp_path_factory.mktemp("layouts")
    if rows.shape[1] == 1:
        rows = np.ones_like(rows)  # else class numbers
    texts = [" ".join(map(str, row)) for row in rows.tolist()]
    (folder / "a_img.txt").write_text("".join(f"{path}\n" for path in paths))
    (folder / "a_label.txt").write_text("".join(f"{text}\n" for text in texts))
    (folder / "b.txt").write_text(
        "".join(f"{path} {text}\n" for path, text in zip(paths, texts, strict=True))
    )
    a, b = read_split(folder, "a"), read_split(folder, "b")
    assert a.paths == b.paths == tuple(paths)
    assert a.labels.tolist() == b.labels.tolist() == rows.tolist()
    assert a.where(0) == f"{folder}/a_img.txt, line 1"
    assert b.where(count - 1) == f"{folder}/b.txt, line {count}"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "list.txt: the file is empty"),
        ("1 0\n1 0 1\n", "list.txt, line 2: 3 label columns, but line 1 has 2"),
        ("1 0\n1\n1 0\n", "list.txt, line 2: 1 label columns, but line 1 has 2"),
        ("1 0\n\n1 0\n", "list.txt, line 2: no labels"),
        ("\n1 0\n", "list.txt, line 1: no labels"),
        ("1 0\n1 0\n \n", "list.txt, line 3: no labels"),
        ("1 0\n0 2\n", "list.txt, line 2: labels must be 0 or 1, found '2'"),
        ("1 0\n0 10\n", "list.txt, line 2: labels must be 0 or 1, found '10'"),
        ("1 0\n-1 0\n", "list.txt, line 2: labels must be 0 or 1, found '-1'"),
        ("1.0 0.0\n", "list.txt, line 1: labels must be 0 or 1, found '1.0'"),
        ("1,0\n", "list.txt, line 1: labels must be 0 or 1, found '1,0'"),
        ("1 0\nnan 0\n", "list.txt, line 2: labels must be 0 or 1, found 'nan'"),
        ("1 0\n1 0 1\n0 2\n", "list.txt, line 2: 3 label columns"),
        ("1 0\n0 2\n1 0 1\n", "list.txt, line 2: labels must be 0 or 1"),
    ],
)
def test_malformed_rows_name_the_first_bad_line(text: str, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_label_rows(text.encode(), LIST)
    assert str(caught.value).startswith(says)


@given(rows=label_rows(), data=st.data())
def test_any_foreign_character_is_found_on_its_line(
    rows: NDArray[np.uint8], data: st.DataObject
) -> None:
    lines = [" ".join(map(str, row)) for row in rows.tolist()]
    line = data.draw(st.integers(0, len(lines) - 1))
    place = data.draw(st.integers(0, len(lines[line])))
    extra = data.draw(st.sampled_from("23456789-+.,;eax\x00\xa0é"))
    lines[line] = lines[line][:place] + extra + lines[line][place:]
    with pytest.raises(UsageError, match=rf"^list\.txt, line {line + 1}: labels must be 0 or 1"):
        parse_label_rows("\n".join(lines).encode(), LIST)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b"/etc/passwd", "is absolute"),
        (b"C:/photos/a.jpg", "is absolute"),
        (b"../a.jpg", "'..' part"),
        (b"a/../../b.jpg", "'..' part"),
        (b"a/..", "'..' part"),
        (b"actor\\0001.jpg", "backslash"),
        (b"", "the line is empty"),
        (b"   ", "the line is empty"),
        (b"a\x00b.jpg", "control character"),
        (b"a\x1b[2J.jpg", "control character"),
        (b"\xff\xfe.jpg", "not UTF-8"),
        (b".", "names a folder"),
        (b"./", "names a folder"),
    ],
)
def test_paths_that_lead_elsewhere_are_refused(line: bytes, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_image_paths(b"good.jpg\n" + line + b"\nalso good.jpg\n", LIST)
    assert str(caught.value).startswith("list.txt, line 2: ")
    assert says in str(caught.value)


def test_paths_are_compared_without_their_ornaments() -> None:
    assert {clean_path(text) for text in ("a/b.jpg", "./a/b.jpg", "a//b.jpg", "a/./b.jpg")} == {
        "a/b.jpg"
    }
    assert clean_path("a..b/..c.jpg") == "a..b/..c.jpg"


def write(root: Path, **files: str) -> Path:
    for name, text in files.items():
        (root / f"{name}.txt").write_text(text)
    return root


GOOD = {
    "train_img": "c.jpg\nc.jpg\n",
    "train_label": "0 1\n0 1\n",
    "test_img": "a.jpg\n",
    "test_label": "1 1\n",
    "database_img": "c.jpg\nd.jpg\n",
    "database_label": "0 1\n1 0\n",
}


def test_a_listing_knows_its_distinct_images(tmp_path: Path) -> None:
    listing = read_listing(write(tmp_path, **GOOD))
    assert listing.distinct == ("c.jpg", "d.jpg", "a.jpg")
    assert {name: rows.tolist() for name, rows in listing.places.items()} == {
        "train": [0, 0],
        "query": [2],
        "database": [0, 1],
    }
    assert listing.first_use(1) == f"{tmp_path}/database_img.txt, line 2"
    assert listing.classes == ("class 0", "class 1")
    listing.refuse_overlap()
    write(tmp_path, classes="cat\ndog\n")
    assert read_listing(tmp_path).classes == ("cat", "dog")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"test_label": "1 1\n0 0\n"}, "2 label rows, but test_img.txt has 1 images"),
        ({"test_img": "a.jpg\nb.jpg\n"}, "1 label rows, but test_img.txt has 2 images"),
        ({"test_label": "1 1 0\n"}, "test_img.txt: the query labels have 3 columns"),
        ({"classes": "cat\n"}, "1 class names, but 2 label columns"),
        ({"database_img": ""}, "database_img.txt: the file is empty"),
        ({"test_label": None}, "test_label.txt: cannot be read (No such file"),
        ({"test_label": None, "test_img": None}, "no list of the test images"),
    ],
)
def test_lists_that_do_not_fit_are_refused(
    tmp_path: Path, changes: dict[str, str | None], says: str
) -> None:
    files = {name: text for name, text in {**GOOD, **changes}.items() if text is not None}
    with pytest.raises(UsageError) as caught:
        read_listing(write(tmp_path, **files))
    assert says in str(caught.value)


def test_a_query_in_the_database_is_refused(tmp_path: Path) -> None:
    write(tmp_path, **GOOD)
    write(tmp_path, test_img="a.jpg\nd.jpg\n", test_label="1 1\n1 0\n")
    with pytest.raises(UsageError) as caught:
        read_listing(tmp_path).refuse_overlap()
    assert f"{tmp_path}/test_img.txt, line 2: the query 'd.jpg'" in str(caught.value)
    assert f"{tmp_path}/database_img.txt, line 2" in str(caught.value)


def test_joint_lines_without_labels_are_refused(tmp_path: Path) -> None:
    write(tmp_path, b="a.jpg 1 0\nb.jpg\n")
    with pytest.raises(UsageError, match=r"b\.txt, line 2: no labels"):
        read_split(tmp_path, "b")
    write(tmp_path, b="a.jpg 1 0\n\n")
    with pytest.raises(UsageError, match=r"b\.txt, line 2: the line is empty"):
        read_split(tmp_path, "b")
    write(tmp_path, b="my photo.jpg\n")
    with pytest.raises(UsageError, match=r"b\.txt, line 1: labels must be 0 or 1, found 'photo"):
        read_split(tmp_path, "b")


def test_flickr_lists_have_the_counted_facts(shared_data: Callable[[str], Path]) -> None:
    """Numbers counted from the published files: section 3 of the reference."""
    listing = read_listing(shared_data("lists") / "FLICKR-25K")
    sizes = {name: split.labels.shape for name, split in listing.splits.items()}
    assert sizes == {"train": (5000, 38), "query": (1700, 38), "database": (23300, 38)}
    assert len(set(listing.train.paths)) == 4496
    without = {name: int((~s.labels.any(1)).sum()) for name, s in listing.splits.items()}
    assert without == {"train": 95, "query": 38, "database": 381}
    listing.refuse_overlap()
    assert set(listing.train.paths) <= set(listing.database.paths)


def test_large_lists_agree_with_a_slow_reader(shared_data: Callable[[str], Path]) -> None:
    for name in ("NUS-WIDE", "MS-COCO"):
        for stem in ("train", "test"):
            path = shared_data("lists") / name / f"{stem}_label.txt"
            slow = [line.split() for line in path.read_text().splitlines()]
            fast = parse_label_rows(path.read_bytes(), path)
            assert fast.shape == (len(slow), len(slow[0]))
            assert [list(map(str, row)) for row in fast.tolist()] == slow
