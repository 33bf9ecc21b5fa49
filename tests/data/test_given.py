"""Data that a program hands over: every form of the same images and labels is the same data."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, Subset, TensorDataset

from hashbench.data import RetrievalData, as_retrieval_data
from hashbench.data.given.images import COLOURED, ROUNDED
from hashbench.errors import UsageError

DRAW = np.random.default_rng(0)
IMAGES = DRAW.integers(0, 256, (12, 3, 4, 5), dtype=np.uint8)
OTHERS = np.random.default_rng(1).integers(0, 256, (12, 3, 4, 5), dtype=np.uint8)
NUMBERS = np.array([0, 1, 2, 1, 0, 2, 2, 1, 0, 1, 2, 0])
ROWS = np.eye(3, dtype=np.uint8)[NUMBERS]


class Items:
    """A data set of torch, as far as anybody asks."""

    def __init__(self, item: Callable[[int], Any], count: int = 12) -> None:
        self.item, self.count = item, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Any:
        if index >= self.count:
            raise IndexError(index)
        return self.item(index)


def around(query: object) -> RetrievalData:
    """Data whose query split is given in some form."""
    return as_retrieval_data(
        {"train": (IMAGES, NUMBERS), "query": query, "database": (OTHERS, NUMBERS)}
    )


def alike(labels: object) -> dict[str, Any]:
    """Data whose splits have the same labels."""
    return {"train": (IMAGES, labels), "query": (IMAGES, labels), "database": (OTHERS, labels)}


def lost(at: int) -> Any:
    raise KeyError(at)


PIXELS = torch.from_numpy(IMAGES)
PICTURES = [Image.fromarray(image.transpose(1, 2, 0)) for image in IMAGES]

DEEP = Image.fromarray(IMAGES[0, 0].astype(np.uint16) * 257)


@pytest.mark.parametrize(
    "query",
    [
        (IMAGES, NUMBERS),
        [IMAGES, NUMBERS.tolist()],
        (IMAGES.transpose(0, 2, 3, 1), ROWS),
        {"image": IMAGES, "label": NUMBERS},
        {"images": torch.from_numpy(IMAGES), "labels": ROWS, "path": ["x"] * 12},
        {"image": PICTURES, "label": NUMBERS.tolist()},
        (PICTURES, ROWS),
        {at: (IMAGES[at], NUMBERS[at]) for at in range(12)},
        (list(IMAGES), ROWS.astype(bool)),
        ((IMAGES / 255).astype(np.float32), ROWS.astype(np.float32)),
        (IMAGES / 255, NUMBERS.astype(np.float64)),
        ((IMAGES / 255).astype(np.float16), NUMBERS[:, None]),
        (PIXELS, torch.from_numpy(NUMBERS)),
        (PIXELS.float().div(255).requires_grad_(), torch.from_numpy(ROWS)),
        (PIXELS.float().mul(1 / 255), NUMBERS.astype(np.uint8)),
        TensorDataset(PIXELS.float() / 255, torch.from_numpy(NUMBERS)),
        Subset(TensorDataset(PIXELS, torch.from_numpy(ROWS)), list(range(12))),
        Items(lambda at: (PICTURES[at], int(NUMBERS[at]))),
        Items(lambda at: (IMAGES[at].transpose(1, 2, 0), NUMBERS[at], "more")),
        Items(lambda at: {"image": PICTURES[at], "label": int(NUMBERS[at])}),
        [(picture, int(number)) for picture, number in zip(PICTURES, NUMBERS, strict=True)],
    ],
)
def test_every_form_of_the_same_split_is_the_same(query: object) -> None:
    data = around(query)
    assert np.array_equal(np.asarray(data.query.images[0:12]), IMAGES)
    assert np.array_equal(data.query.labels, ROWS)
    assert data.query.digest() == data.train.digest()
    assert data.transform == "none"
    assert data.classes == ("class 0", "class 1", "class 2")


def test_whole_bytes_are_not_copied() -> None:
    data = around((IMAGES.transpose(0, 2, 3, 1), NUMBERS))
    for part in (data.train.images, data.query.images):
        assert isinstance(part, np.ndarray)
        assert np.shares_memory(part, IMAGES)


def test_all_splits_may_be_attributes_and_two_of_them_one() -> None:
    Splits = namedtuple("Splits", ["train", "query", "database", "classes"])
    seen: list[int] = []

    def item(at: int) -> tuple[Any, int]:
        seen.append(at)
        return PICTURES[at], int(NUMBERS[at])

    one = Items(item)
    data = as_retrieval_data(Splits(one, (OTHERS, NUMBERS), one, ["cat", "dog", "emu"]))
    assert data.classes == ("cat", "dog", "emu")
    assert data.train.images is data.database.images
    assert seen.count(11) == 1
    assert as_retrieval_data(data) is data


def test_class_names_are_labels() -> None:
    names = np.array(["dog", "emu", "cat"])
    data = as_retrieval_data(alike(names[NUMBERS]))
    assert data.classes == ("cat", "dog", "emu")
    assert np.array_equal(data.train.labels, ROWS[:, [2, 0, 1]])
    told = {"classes": ["dog", "emu", "cat"], **alike(list(names[NUMBERS]))}
    assert np.array_equal(as_retrieval_data(told).train.labels, ROWS)


def test_a_data_sets_own_names_are_taken() -> None:
    query = Items(lambda at: (PICTURES[at], int(NUMBERS[at])))
    query.classes = ["a", "b", "c"]  # type: ignore[attr-defined]
    assert around(query).classes == ("a", "b", "c")


def test_several_labels_per_image() -> None:
    rows = DRAW.integers(0, 2, (12, 5))
    data = as_retrieval_data(alike(rows))
    assert np.array_equal(data.query.labels, rows)


def test_grey_images() -> None:
    grey, others = IMAGES[:, 0], OTHERS[:, 0]
    pictures = Items(lambda at: (Image.fromarray(grey[at]), int(NUMBERS[at])))
    data = as_retrieval_data(
        {"train": (grey, NUMBERS), "query": pictures, "database": (others[..., None], NUMBERS)}
    )
    for part, own in ((data.train, grey), (data.query, grey), (data.database, others)):
        assert np.array_equal(np.asarray(part.images[0:12]), own[:, None])
    assert data.transform == "none"


def test_pictures_of_which_some_are_grey_are_a_list() -> None:
    pictures = [picture.convert("L") if at else picture for at, picture in enumerate(PICTURES)]
    data = around((pictures, NUMBERS))
    assert np.array_equal(np.asarray(data.query.images[0:1])[0], IMAGES[0])
    assert data.transform == COLOURED


@pytest.mark.parametrize("form", [Image.fromarray, np.asarray, torch.from_numpy])
@pytest.mark.parametrize("grey", [{0}, {5, 11}, {0, 1, 2}, set(range(11)), set(range(1, 12))])
def test_grey_images_among_others_are_red_green_and_blue(
    grey: set[int], form: Callable[[Any], Any]
) -> None:
    def item(at: int) -> Any:
        image = IMAGES[at, 0] if at in grey else IMAGES[at].transpose(1, 2, 0)
        return form(np.ascontiguousarray(image)), int(NUMBERS[at])

    data = around(Items(item))
    for at in range(12):
        expected = IMAGES[at, [0, 0, 0]] if at in grey else IMAGES[at]
        assert np.array_equal(np.asarray(data.query.images[at : at + 1])[0], expected)
    assert data.transform == COLOURED


@pytest.mark.parametrize("as_items", [False, True])
def test_a_grey_split_beside_others_in_colour(as_items: bool) -> None:
    grey = IMAGES[:, 0]
    pictures = Items(lambda at: (Image.fromarray(grey[at]), int(NUMBERS[at])))
    data = around(pictures if as_items else (grey, NUMBERS))
    assert np.array_equal(np.asarray(data.query.images[0:12]), IMAGES[:, [0, 0, 0]])
    assert data.query.digest() == around((IMAGES[:, [0, 0, 0]], NUMBERS)).query.digest()
    assert data.transform == COLOURED


@pytest.mark.parametrize("as_items", [False, True])
def test_floats_between_whole_pixels_are_rounded_and_the_protocol_says_so(as_items: bool) -> None:
    between = np.clip((IMAGES + DRAW.uniform(-0.4, 0.4, IMAGES.shape)) / 255, 0, 1)
    query = Items(lambda at: (between[at], NUMBERS[at])) if as_items else (between, NUMBERS)
    data = around(query)
    assert np.array_equal(np.asarray(data.query.images[0:12]), IMAGES)
    assert data.transform == ROUNDED


@pytest.mark.parametrize(
    ("query", "said"),
    [
        (
            (IMAGES / 255 - 0.5, NUMBERS),
            r"query image 0 holds the value -0.*normalisation.*mean=, s",
        ),
        ((IMAGES / 255 * np.nan, NUMBERS), "query image 0 holds the value nan"),
        ((IMAGES.astype(float), NUMBERS), "query image 0 holds the value .* divide them by 255"),
        ((IMAGES.astype(int), NUMBERS), "query images are int64, expected uint8"),
        ((IMAGES[:, :2], NUMBERS), r"query images have shape \(12, 2, 4, 5\), expected \(N, C"),
        ((IMAGES[:0], NUMBERS[:0]), "the query split is empty"),
        (Items(lambda at: at, 0), "the query split is empty"),
        (IMAGES, "query split is a ndarray.*images alone, without labels"),
        (DataLoader(TensorDataset(PIXELS)), "DataLoader, give its .dataset"),
        (7, "query split is a int"),
        (
            {"x": IMAGES, "y": NUMBERS},
            "query split has the keys 'x', 'y', expected 'image' and 'la",
        ),
        ({}, "query split has no keys, expected 'image' and 'label'"),
        (
            Items(lambda at: {"pixels": IMAGES[at], "y": 0}),
            "a dict with the keys 'pixels', 'y' for",
        ),
        (([PICTURES[0]] * 11, NUMBERS), "11 query images, but 12 labels"),
        ((IMAGES, NUMBERS[:-1]), "12 query images, but 11 labels"),
        ((IMAGES, NUMBERS + 0.5), "label of the query image 0 is 0.5, but must be a whole number"),
        ((IMAGES, NUMBERS - 1), "label of the query image 0 is -1, but must be a class number"),
        ((IMAGES, NUMBERS * 10**6), "label of the query image 1 is 1000000, but must be a class n"),
        ((IMAGES, 2 * ROWS), "label of the query image 0 is 2, but must be 0 or 1"),
        ((IMAGES, ROWS[:, :2]), "query labels have 2 columns, but there are 3"),
        ((IMAGES, np.array(["cat"] * 12)), "train labels are numbers and others are class names"),
        (
            Items(lambda at: (IMAGES[at][:, : 4 - at // 7], 0)),
            "image 0 is 3 x 4 x 5, image 7 is 3 x 3",
        ),
        (Items(lambda at: IMAGES[at]), "gives a ndarray for image 0, expected \\(image, label\\)"),
        (Items(lambda at: (DRAW.random((3, 4, 5)), at)), "another picture each time that image 0"),
        (Items(lambda at: (1 / (at - 3), 0)), "shape \\(\\)"),
        (Items(lost), "query data set raises KeyError for image 0"),
        (
            Items(lambda at: (DEEP, at)),
            r"query image 0 has more than 8 bits a channel \(mode I;16\)",
        ),
        (Items(lambda at: (IMAGES[at] - 0.5, 0)), "query image 0 holds the value"),
    ],
)
def test_what_is_none_is_said(query: object, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        around(query)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"train": (IMAGES, NUMBERS)}, "have no query and no database"),
        ({"trian": 1}, "key 'trian', which is not known; did you mean 'train'"),
        ({"test": 1, "train": 1}, "key 'test', which is not known; did you mean 'query'"),
        ({"validation": 1}, "key 'validation', which is not known; did you mean 'query'"),
        ({"gallery": 1, "query": 1}, "key 'gallery', which is not known; did you mean 'database'"),
        ((IMAGES, NUMBERS), r"data \(tuple\) have no train"),
        ({"train": 1, "query": 2, "database": 3, "classes": "abc"}, "list of texts"),
    ],
)
def test_splits_that_are_none_are_said(data: object, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        as_retrieval_data(data)


@pytest.mark.parametrize("as_items", [False, True])
@pytest.mark.parametrize(
    ("places", "said"),
    [
        ({3: 7}, "the query image 3 is the database image 7 too: a query must not find itself"),
        ({11: 0, 4: 9}, r"query image 4 is the database image 9 too \(2 queries are in it\)"),
        ({2: 1, 5: 1}, r"query image 2 is the database image 1 too \(2 queries are in it\)"),
    ],
)
def test_a_query_in_the_database_is_named(
    places: dict[int, int], said: str, as_items: bool
) -> None:
    images = IMAGES.copy()
    for row, place in places.items():
        images[row] = OTHERS[place]
    query: Any = (images, NUMBERS)
    if as_items:
        query = Items(lambda at: (Image.fromarray(images[at].transpose(1, 2, 0)), NUMBERS[at]))
    with pytest.raises(UsageError, match=said):
        around(query)


def test_no_split_is_both_queries_and_database_but_the_train_set_may_hold_queries() -> None:
    same = (IMAGES, NUMBERS)
    with pytest.raises(UsageError, match=r"query image 0 is the database image 0 too \(12 quer"):
        as_retrieval_data({"train": (OTHERS, NUMBERS), "query": same, "database": same})
    assert as_retrieval_data(alike(NUMBERS)).query.digest() == around(same).train.digest()


def test_many_queries_are_compared_with_all_of_a_larger_database() -> None:
    count = 1203  # three parts
    database = np.arange(count, dtype="<u4").view(np.uint8).reshape(count, 1, 2, 2)
    zeros = np.zeros(count, dtype=int)

    def sharing(few: int) -> RetrievalData:
        numbers = np.arange(count, dtype="<u4") + count - few
        query = (numbers.view(np.uint8).reshape(count, 1, 2, 2), zeros)
        return as_retrieval_data({"train": query, "query": query, "database": (database, zeros)})

    assert (
        sharing(60).found_again == 60
    )  # of 1,203: not more than one in twenty, as published splits have
    with pytest.raises(UsageError, match=r"query image 0 is the database image 1142 too \(61 quer"):
        sharing(61)
