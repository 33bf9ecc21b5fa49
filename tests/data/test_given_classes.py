"""Splits that number their classes in ways of their own: a class is the same in all of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from torch.utils.data import ConcatDataset, Dataset, Subset

from hashbench.data import RetrievalData, as_retrieval_data
from hashbench.errors import UsageError

SPLITS = ("train", "query", "database")


class Numbered(Dataset[Any]):
    """A data set of one image per label, with what it says of its classes."""

    def __init__(self, salt: int, labels: list[Any], **said: Any) -> None:
        self.images = np.random.default_rng(salt).integers(0, 256, (len(labels), 3, 4, 4), np.uint8)
        self.labels = labels
        for name, value in said.items():
            setattr(self, name, value)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        return self.images[index], self.labels[index]


class Keyed(Numbered):
    """As HuggingFace's: items are mappings, and the names stand in the features."""

    def __getitem__(self, index: int) -> Any:
        return {"img": self.images[index], "fine_label": self.labels[index]}


def means(data: RetrievalData, split: str) -> list[list[str]]:
    """The class names of each image of a split."""
    rows = getattr(data, split).labels
    return [[data.classes[at] for at in np.flatnonzero(row)] for row in rows]


def of(query: object, train: object = None, **more: Any) -> RetrievalData:
    """Data whose train set and database have the classes a, b and c."""
    whole = Numbered(0, [0, 1, 2], classes=["a", "b", "c"])
    return as_retrieval_data({"train": train or whole, "query": query, "database": whole, **more})


def folders(root: Path, classes: str) -> Any:
    """A data set of torchvision: one picture in each class folder."""
    datasets = pytest.importorskip("torchvision.datasets")
    draw = np.random.default_rng([ord(letter) for letter in f"{root.name} {classes}"])
    for name in classes:
        (root / name).mkdir(parents=True)
        picture = Image.fromarray(draw.integers(0, 256, (4, 4, 3), dtype=np.uint8))
        picture.save(root / name / "1.png")
    return datasets.ImageFolder(str(root))


@pytest.mark.parametrize("within", [lambda data: data, lambda data: Subset(data, range(len(data)))])
@pytest.mark.parametrize(
    "classes", [("abc", "ac", "abc"), ("ac", "abc", "b"), ("b", "a", "c"), ("abc", "abc", "abc")]
)
def test_folders_that_lack_a_class_keep_their_names(
    tmp_path: Path, classes: tuple[str, ...], within: Callable[[Any], Any]
) -> None:
    parts = zip(SPLITS, classes, strict=True)
    data = as_retrieval_data({part: within(folders(tmp_path / part, own)) for part, own in parts})
    assert sorted(data.classes) == sorted(set("".join(classes)))
    for split, own in zip(SPLITS, classes, strict=True):
        assert means(data, split) == [[name] for name in own]


@pytest.mark.parametrize(
    "query",
    [
        Numbered(1, [1, 0], classes=("a", "c")),
        Numbered(1, [[0, 1], [1, 0]], classes=["a", "c"]),
        Numbered(1, [7, 3], class_to_idx={"a": 3, "c": 7}),
        Numbered(1, [2, 0], class_to_idx={"a": 0, "c": 2}, classes=["a", "c"]),
        Numbered(1, ["c", "a"], classes=["a", "c"]),
        Numbered(1, ["c", "a"]),
        Numbered(1, [2, 0], classes=["a", "b", "c"], target_transform=int),
        Subset(Numbered(1, [0, 1, 0], classes=["a", "c"]), [1, 2]),
        ConcatDataset([Numbered(1, [1], classes=["a", "c"]), Numbered(2, [0], classes=["a", "c"])]),
        Keyed(1, [1, 0], features={"fine_label": SimpleNamespace(names=["a", "c"])}),
        Keyed(
            1,
            [[0, 1], [1, 0]],
            features={"fine_label": SimpleNamespace(feature=SimpleNamespace(names=["a", "c"]))},
        ),
    ],
)
def test_every_way_to_say_its_classes_is_followed(query: Any) -> None:
    assert means(of(query), "query") == [["c"], ["a"]]


def test_numbers_without_names_are_those_of_the_others() -> None:
    images = np.random.default_rng(5).integers(0, 256, (2, 3, 4, 4), np.uint8)
    data = of((images, [2, 0]))
    assert data.classes == ("a", "b", "c")
    assert means(data, "query") == [["c"], ["a"]]


def test_told_names_rename_or_bring_together() -> None:
    query = Numbered(1, [1, 0], classes=["a", "c"])
    data = of(query, classes=["c", "b", "a"])
    assert data.classes == ("c", "b", "a")
    assert means(data, "query") == [["c"], ["a"]]
    assert means(data, "train") == [["a"], ["b"], ["c"]]
    same = Numbered(1, [1, 0], classes=["a", "b", "c"])
    assert means(of(same, classes=["ant", "bee", "cat"]), "query") == [["bee"], ["ant"]]


@pytest.mark.parametrize(
    ("query", "more", "said"),
    [
        (
            Numbered(1, [1, 0], classes=["a", "c"]),
            {"train": Numbered(2, [0, 1, 2])},
            "query classes are a, c, the database ones a, b, c, and the train .* have no names.*gi",
        ),
        (
            Numbered(1, [1, 0], classes=["a", "c"], target_transform=int),
            {},
            "train classes are a, b, c, the query ones a, c.* query class .* a target_transform",
        ),
        (
            Subset(Numbered(1, [1, 0], classes=["a", "c"], target_transform=int), [0]),
            {},
            "train classes are a, b, c, the query ones a, c.* query class .* a target_transform",
        ),
        (
            Numbered(1, [1, 0], classes=["a", "c"]),
            {"classes": ["x", "y", "z"]},
            "are a, b, c, but 'classes' of the data are x, y, z",
        ),
        (
            Numbered(1, [1, 0], classes=["a", "b", "d"]),
            {"classes": ["b", "a", "c"]},
            "the query classes are a, b, d, but 'classes' of the data are b, a, c",
        ),
        (Numbered(1, [1, 0], classes=["a", "a"]), {}, "the query classes have a name twice"),
        (Numbered(1, [1, 2], classes=["a", "c"]), {}, "label of the query image 1 is 2, but"),
        (
            Numbered(1, [0, 1], class_to_idx={"a": 0, "c": 2}),
            {},
            "label of the query image 1 is 1, but must be of the numbers of its classes: 0, 2",
        ),
        (
            Numbered(1, [[1, 0, 0], [1, 1, 0]], class_to_idx={"a": 0, "c": 2}),
            {},
            "label of the query image 1 is 1, but must be of the numbers of its classes: 0, 2",
        ),
        (
            ConcatDataset([Numbered(1, [0], classes=["a"]), Numbered(2, [0], classes=["c"])]),
            {},
            "set 0 has a, set 1 has c",
        ),
    ],
)
def test_lists_that_cannot_be_brought_together_are_quoted(
    query: Any, more: dict[str, Any], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        of(query, **more)
