"""Every form of the same labels is the same labels, and what is none is named."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from hashbench.data import RetrievalData, as_retrieval_data
from hashbench.errors import UsageError

NUMBERS = [2, 0, 1, 0]
NAMES = ["cat", "ant", "bee", "ant"]
SEVERAL = [[2], [0, 1], [], [0, 1, 2]]
SEVERAL_NAMES = [["cat"], ["bee", "ant"], [], ["ant", "bee", "cat"]]
SEVERAL_ROWS = [[0, 0, 1], [1, 1, 0], [0, 0, 0], [1, 1, 1]]
PAIRS = [[0, 1], [2, 1], [0, 2], [1, 2]]
PAIR_ROWS = [[1, 1, 0], [0, 1, 1], [1, 0, 1], [0, 1, 1]]


def objects(values: list[Any]) -> Any:
    """As `frame["label"].to_numpy()`: an array of objects."""
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


class Column:
    """A column of a table, as far as anybody asks."""

    def __init__(self, values: list[Any]) -> None:
        self.values = values

    def __len__(self) -> int:
        return len(self.values)

    def to_numpy(self) -> Any:
        return objects(self.values)


def images(salt: int, count: int = 4) -> Any:
    return np.random.default_rng(salt).integers(0, 256, (count, 3, 4, 4), np.uint8)


def of(labels: Any, train: Any = ("ant", "bee", "cat"), **more: Any) -> RetrievalData:
    """Data whose queries have some labels, beside a train set of the classes ant, bee and cat."""
    train = (images(0, len(train)), train)
    query = (images(1, len(labels)), labels)
    return as_retrieval_data({"train": train, "query": query, "database": train, **more})


@pytest.mark.parametrize(
    "labels",
    [
        NAMES,
        tuple(NAMES),
        np.array(NAMES),
        np.array(NAMES, dtype="S"),
        objects(NAMES),
        objects([np.str_(name) for name in NAMES]),
        Column(NAMES),
        [[name] for name in NAMES],
        np.array(NAMES)[:, None],
        [name.encode() for name in NAMES],
    ],
)
def test_class_names(labels: Any) -> None:
    data = of(labels)
    assert data.classes == ("ant", "bee", "cat")
    assert np.array_equal(data.query.labels, np.eye(3)[NUMBERS])


@pytest.mark.parametrize(
    "labels",
    [NUMBERS, objects(NUMBERS), objects([2.0, 0, np.int8(1), 0]), [[2], [0], [1], [0]]],
)
def test_class_numbers(labels: Any) -> None:
    data = of(labels, [0, 1, 2])
    assert np.array_equal(data.query.labels, np.eye(3)[NUMBERS])


@pytest.mark.parametrize(
    "labels",
    [
        SEVERAL,
        objects(SEVERAL),
        [tuple(members) for members in SEVERAL],
        [set(members) for members in SEVERAL],
        [np.array(members, dtype=int) for members in SEVERAL],
        [torch.tensor(members, dtype=torch.long) for members in SEVERAL],
    ],
)
def test_lists_of_class_numbers(labels: Any) -> None:
    assert np.array_equal(of(labels, [0, 1, 2]).query.labels, SEVERAL_ROWS)


def test_lists_of_class_names() -> None:
    assert np.array_equal(of(SEVERAL_NAMES).query.labels, SEVERAL_ROWS)
    assert np.array_equal(of(objects(SEVERAL_NAMES)).query.labels, SEVERAL_ROWS)
    pairs = [[("ant", "bee", "cat")[at] for at in pair] for pair in PAIRS]
    assert np.array_equal(of(pairs).query.labels, PAIR_ROWS)
    assert np.array_equal(of(np.array(pairs)).query.labels, PAIR_ROWS)
    told = of(SEVERAL, SEVERAL_NAMES, classes=["ant", "bee", "cat"])
    assert np.array_equal(told.query.labels, told.train.labels)


def test_lists_of_as_many_classes_each() -> None:
    assert np.array_equal(of(PAIRS, [0, 1, 2]).query.labels, PAIR_ROWS)
    assert np.array_equal(of(objects(PAIRS), SEVERAL).query.labels, PAIR_ROWS)
    assert np.array_equal(of([set(pair) for pair in PAIRS], SEVERAL).query.labels, PAIR_ROWS)


@pytest.mark.parametrize("form", [list, objects, np.array, torch.tensor, Column])
def test_lists_of_0_and_1_are_rows(form: Any) -> None:
    rows = [[0, 1, 0], [1, 0, 1]]
    labels = form(rows)
    assert np.array_equal(
        as_retrieval_data(
            {
                "train": (images(0, 2), rows),
                "query": (images(1, 2), labels),
                "database": (images(2, 2), np.array(rows)),
            }
        ).query.labels,
        rows,
    )


@pytest.mark.parametrize(
    ("labels", "train", "said"),
    [
        (["ant", 1], NAMES, r"label of the query image 1 is 1 \(int\), expected a class name as"),
        (["ant", float("nan")], NAMES, r"query image 1 is nan \(float\), expected a class name as"),
        (objects(["ant", None]), NAMES, "query image 1 is None .NoneType., expected a class name"),
        (
            [None, "ant"],
            NAMES,
            "query image 0 is None .NoneType., expected a class number, a class",
        ),
        (objects([1, float("nan")]), [0, 1], "query image 1 is nan, but must be a whole number"),
        ([["ant"], "bee"], NAMES, "query image 1 is 'bee' .str., expected a list of classes as"),
        ([["ant"], ["bee", 2]], NAMES, "query image 1 holds 2 .int., expected class numbers, or"),
        ([[0], [1, -1]], [0, 1], "query image 1 is -1, but must be a class number"),
        ([[0, 1], [0, 1.5, 2]], [0, 1], "query image 1 is 1.5, but must be a whole number"),
        ([[0, 2], [1, 1]], [[0, 1]], "label of the query image 0 is 2, but must be 0 or 1"),
        (
            [[0, 1], [1, 0]],
            [[0], [0, 1]],
            "query labels are lists of 2 numbers 0 or 1.*the train l",
        ),
        ([[0], [1]], [[0], [[1]]], r"train image 1 holds \[1\] .list., expected class numbers"),
        ([b"\xff"], NAMES, "query image 0 is b'.xff' .bytes., expected a class number, a class"),
        ([[], []], [0, 1], "no image of the query split has a class: the label of image 0"),
        ([[], []], NAMES, "no image of the query split has a class: the label of image 0"),
        (np.zeros((2, 3)), [[0, 1, 1]], "no image of the query split has a class"),
    ],
)
def test_what_is_no_label_is_named(labels: Any, train: Any, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        of(labels, train)


def test_a_name_that_is_none_of_those_told_is_named() -> None:
    with pytest.raises(UsageError, match="query image 2 is 'dog', which is none of the 3 class"):
        of([["ant"], [], ["dog"]], classes=["ant", "bee", "cat"])
