"""The seeded split: sizes by class, the same for the same paths, hardly moved by what is added."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hashbench.data.layouts.drawn import draw, spread
from hashbench.data.lists.listing import ListedSplit


def images(sizes: dict[str, int]) -> ListedSplit:
    paths = [f"{name}/{number}.png" for name, size in sizes.items() for number in range(size)]
    columns = [place for place, size in enumerate(sizes.values()) for _ in range(size)]
    labels = np.eye(len(sizes), dtype=np.uint8)[columns]
    return ListedSplit(Path("photos"), tuple(paths), labels)


def queries(split: ListedSplit, seed: int = 0, **amounts: str) -> set[str]:
    return {split.paths[row] for row in draw(split, amounts, seed).query.tolist()}


SIZES = st.dictionaries(
    st.sampled_from(["ant", "bee", "cat", "dog"]), st.integers(2, 30), min_size=1
)


@given(sizes=SIZES, seed=st.integers(0, 5))
def test_queries_are_the_lowest_hashes_of_each_class(sizes: dict[str, int], seed: int) -> None:
    """Stated again, class by class."""

    def rank(path: str) -> str:
        return hashlib.sha256(f"hashbench split query {seed} {path}".encode()).hexdigest()[:32]

    expected = set[str]()
    for name, size in sizes.items():
        paths = sorted((f"{name}/{number}.png" for number in range(size)), key=rank)
        count = min(max(int(size / 4 + 0.5), 1), size - 1)
        expected |= set(paths[:count])
    assert queries(images(sizes), seed, query="1/4") == expected


@given(sizes=SIZES, more=st.integers(2, 30))
def test_a_new_class_moves_nothing_of_a_share(sizes: dict[str, int], more: int) -> None:
    before, after = images(sizes), images(sizes | {"new": more})
    assert queries(before) == {path for path in queries(after) if not path.startswith("new/")}


@given(sizes=SIZES, added=st.integers(1, 5))
def test_new_images_of_a_class_leave_the_order_of_the_old(
    sizes: dict[str, int], added: int
) -> None:
    """Of the old images the queries are still those of the lowest ranks."""
    name = next(iter(sizes))
    old = images(sizes)
    after = queries(images(sizes | {name: sizes[name] + added})) & set(old.paths)
    before = queries(old)
    assert before <= after or after <= before


@given(sizes=st.lists(st.integers(0, 50), min_size=1, max_size=8), total=st.integers(0, 300))
def test_a_number_is_spread_by_size(sizes: list[int], total: int) -> None:
    counts = spread(total, np.array(sizes, np.int64))
    whole = sum(sizes)
    total = min(total, whole)
    assert counts.sum() == total
    for count, size in zip(counts.tolist(), sizes, strict=True):
        assert 0 <= count <= size
        assert abs(count * whole - total * size) < max(whole, 1)  # less than one image from exact


@given(sizes=SIZES, seed=st.integers(0, 3), data=st.data())
def test_splits_are_disjoint_and_nested(
    sizes: dict[str, int], seed: int, data: st.DataObject
) -> None:
    split = images(sizes)
    every, most = len(split), len(split) - len(sizes)
    query = data.draw(st.integers(1, most))
    database = data.draw(st.integers(1, every - query))
    train = data.draw(st.integers(1, database))
    amounts = {"query": str(query), "database": str(database), "train": str(train)}
    found = draw(split, amounts, seed)
    assert [len(found.query), len(found.database), len(found.train)] == [query, database, train]
    assert not set(found.query.tolist()) & set(found.database.tolist())
    assert set(found.train.tolist()) <= set(found.database.tolist())
    again = draw(split, amounts, seed)
    assert all(
        np.array_equal(getattr(found, role), getattr(again, role))
        for role in ("query", "database", "train")
    )


def test_rows_of_one_path_go_together() -> None:
    paths = tuple(f"{number // 2}.png" for number in range(40))
    labels = np.ones((40, 1), np.uint8)
    found = draw(ListedSplit(Path("t.csv"), paths, labels), {"query": "1/2"}, 0)
    for rows in (found.query, found.database):
        assert len(rows) == 20
        assert len({paths[row] for row in rows.tolist()}) == 10


def test_several_labels_are_drawn_from_as_one_group() -> None:
    labels = np.array([[1, 1], [1, 0], [0, 0], [0, 1]] * 10, np.uint8)
    split = ListedSplit(Path("t.csv"), tuple(map(str, range(40))), labels)
    assert len(draw(split, {}, 0).query) == 4
    assert len(draw(split, {"query": "39"}, 0).query) == 39
