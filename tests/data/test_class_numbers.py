"""One column that is not 1 everywhere holds class numbers, whatever the layout; it is refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path

import pytest

from hashbench.data.lists.listing import read_listing
from hashbench.errors import UsageError

SAYS = (
    "class numbers are to be written as rows of 0 and 1, one column for each class, or read with "
    "lists:labels=numbers"
)
STEMS = ("train", "test", "database")


def write(root: Path, layout: str, rows: Mapping[str, Sequence[str]]) -> Path:
    """Lists of these label rows, in layout A or B."""
    for stem, labels in rows.items():
        names = [f"{stem}{number}.png" for number in range(len(labels))]
        if layout == "A":
            (root / f"{stem}_img.txt").write_text("".join(f"{name}\n" for name in names))
            (root / f"{stem}_label.txt").write_text("".join(f"{row}\n" for row in labels))
        else:
            lines = (f"{name} {row}\n" for name, row in zip(names, labels, strict=True))
            (root / f"{stem}.txt").write_text("".join(lines))
    return root


@pytest.mark.parametrize("layout", ["A", "B"])
@pytest.mark.parametrize("values", list(product("01", repeat=3)))
def test_one_column_is_legal_where_it_is_1_in_every_row(
    tmp_path: Path, layout: str, values: tuple[str, ...]
) -> None:
    root = write(tmp_path, layout, dict.fromkeys(STEMS, values))
    if values == ("1", "1", "1"):
        assert read_listing(root).classes == ("class 0",)
        return
    with pytest.raises(UsageError) as caught:
        read_listing(root)
    name = "train_label.txt" if layout == "A" else "train.txt"
    line = values.index("0") + 1
    assert str(caught.value) == (
        f"{root / name}, line {line}: the only label column is 0 here, as if this were a class "
        f"number; {SAYS}"
    )


@pytest.mark.parametrize("layout", ["A", "B"])
@pytest.mark.parametrize("stem", STEMS)
@pytest.mark.parametrize(
    ("odd", "line"),
    [(("1", "1", "0"), 3), (("2", "0"), 1), (("1", "12"), 2), (("0", "1"), 1), (("1.0", "3.0"), 1)],
)
def test_class_numbers_in_one_list_are_told_by_its_name_and_line(
    tmp_path: Path, layout: str, stem: str, odd: tuple[str, ...], line: int
) -> None:
    rows = dict[str, Sequence[str]].fromkeys(STEMS, ("0 1", "1 0")) | {stem: odd}
    name = f"{stem}_label.txt" if layout == "A" else f"{stem}.txt"
    with pytest.raises(UsageError) as caught:
        read_listing(write(tmp_path, layout, rows))
    assert str(caught.value).startswith(f"{tmp_path / name}, line {line}: ")
    assert str(caught.value).endswith(SAYS)


@pytest.mark.parametrize("layout", ["A", "B"])
@pytest.mark.parametrize("stem", STEMS)
def test_a_list_of_class_1_alone_beside_rows_is_told_as_class_numbers(
    tmp_path: Path, layout: str, stem: str
) -> None:
    rows = dict[str, Sequence[str]].fromkeys(STEMS, ("0 1", "1 0")) | {stem: ("1", "1")}
    with pytest.raises(UsageError, match=SAYS):
        read_listing(write(tmp_path, layout, rows))


@pytest.mark.parametrize("layout", ["A", "B"])
def test_images_without_a_label_stay_legal_where_there_are_columns(
    tmp_path: Path, layout: str
) -> None:
    rows = dict.fromkeys(STEMS, ("0 0", "1 1", "0 1"))
    assert read_listing(write(tmp_path, layout, rows)).train.labels.tolist() == [
        [0, 0], [1, 1], [0, 1],
    ]  # fmt: skip
