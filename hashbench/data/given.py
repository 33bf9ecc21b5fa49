"""Data as a program has them, arrays or data sets of torch, as the splits of a benchmark."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from hashbench.data.contract import Dataset
from hashbench.data.given_images import ROUNDED, WholePixels, image_of, images_of
from hashbench.data.given_labels import multi_hot
from hashbench.data.images import ImageSet, Pixels, RetrievalData
from hashbench.errors import HashbenchError, UsageError
from hashbench.plugins.card import Card
from hashbench.plugins.kinds import Kind
from hashbench.progress import Progress, no_progress
from hashbench.suggestions import did_you_mean

SPLITS: Final = ("train", "query", "database")

CLASSES: Final = "classes"
"""The further key of a mapping: the names of the classes."""

_ASKED_TWICE: Final = 8
"""Images of a data set that are asked for again: a transform that draws shows in one of them."""

_PAIRS: Final = (("image", "label"), ("img", "label"), ("image", "labels"), ("img", "fine_label"))
"""The keys of an item that is a mapping, as HuggingFace's data sets name them."""


@dataclass(frozen=True)
class _Split:
    """One split before its labels are read.

    Attributes:
        pixels: its images.
        labels: as they were given.
        names: of the classes, where the data set says them.
    """

    pixels: Pixels
    labels: Any
    rounded: bool = False
    names: tuple[str, ...] | None = None


def as_retrieval_data(data: object, progress: Progress = no_progress) -> RetrievalData:
    """The three splits of data that a program has.

    Args:
        data: a mapping with `train`, `query` and `database`, or an object with these attributes
            (a named tuple, a `RetrievalData`). The database may be the same object as the train
            set; a query must be in neither. Each split is one of

            - a pair `(images, labels)` of arrays, tensors or lists. Images: uint8, or floats in
              `[0, 1]`, which are rounded to whole 8-bit pixels (the protocol says so where it
              changed any); (N, C, H, W), (N, H, W, C) or grey (N, H, W). Labels: class numbers
              (N,), class names (N,), or rows of 0 and 1 (N, classes) for several labels.
            - a data set of torch: anything with a length whose items are `(image, label)`; the
              image a picture of Pillow, an array or a tensor, before normalisation and without
              anything drawn at random, all of one size. It is read once, into memory.
            - an `ImageSet`.

            A key or attribute `classes` holds the names of the classes; else a data set's own are
            taken, and else their numbers.
        progress: told (done, total) of images that are read one by one.

    Raises:
        UsageError: a split is missing, empty, or holds what are no images or labels; names split
            and image, and says what to do.
    """
    if isinstance(data, RetrievalData):
        return data
    given, names = _parts(data)
    read: dict[int, _Split] = {}
    for split in SPLITS:
        part = given[split]
        if id(part) not in read:  # the train set may be the database too
            read[id(part)] = _split(part, split, progress)
    splits = {split: read[id(given[split])] for split in SPLITS}
    if names is None:
        names = next((one.names for one in splits.values() if one.names is not None), None)
    counts = {split: len(one.pixels) for split, one in splits.items()}
    rows, classes = multi_hot({name: one.labels for name, one in splits.items()}, counts, names)
    rounded = any(one.rounded for one in splits.values())
    return RetrievalData(
        classes=classes,
        train=ImageSet(splits["train"].pixels, rows["train"]),
        query=ImageSet(splits["query"].pixels, rows["query"]),
        database=ImageSet(splits["database"].pixels, rows["database"]),
        transform=ROUNDED if rounded else "none",
    )


def _parts(data: object) -> tuple[dict[str, Any], tuple[str, ...] | None]:
    if isinstance(data, Mapping):
        for key in data:
            if key not in (*SPLITS, CLASSES):
                raise UsageError(
                    f"the data have a key '{key}'{did_you_mean(str(key), (*SPLITS, CLASSES))}"
                )
        given = dict(data)
    else:
        given = {name: getattr(data, name) for name in (*SPLITS, CLASSES) if hasattr(data, name)}
    missing = [name for name in SPLITS if given.get(name) is None]
    if missing:
        raise UsageError(
            f"the data ({type(data).__name__}) have no {' and no '.join(missing)}: give "
            '{"train": (images, labels), "query": (images, labels), "database": (images, labels)}; '
            "the database may be the train set"
        )
    names = given.pop(CLASSES, None)
    if names is None:
        return given, None
    listed = isinstance(names, Iterable) and not isinstance(names, str)
    names = tuple(names) if listed else (None,)
    if not all(isinstance(name, str) for name in names):
        raise UsageError("the names of the classes must be a list of texts")
    return given, names


def _split(part: Any, split: str, progress: Progress) -> _Split:
    if isinstance(part, ImageSet):
        return _Split(part.images, part.labels)
    if isinstance(part, tuple | list) and len(part) == 2 and not _are_items(part):
        whole = images_of(part[0], split)
        return _Split(whole.images, part[1], whole.rounded)
    if hasattr(part, "__getitem__") and hasattr(part, "__len__") and not _is_array(part):
        return _read(part, split, progress)
    hint = ""
    if hasattr(part, "dataset"):
        hint = "; of a DataLoader, give its .dataset"
    elif _is_array(part):
        hint = "; it is images alone, without labels"
    raise UsageError(
        f"the {split} split is a {type(part).__name__}, expected a pair (images, labels), or a "
        f"data set with a length and items (image, label){hint}"
    )


def _are_items(part: tuple[Any, ...] | list[Any]) -> bool:
    """Whether a list of two is a data set of two items: (image, label) and (image, label)."""
    return all(isinstance(one, tuple) and len(one) == 2 for one in part)


def _is_array(part: object) -> bool:
    return hasattr(part, "dtype") and hasattr(part, "shape")


def _read(part: Any, split: str, progress: Progress) -> _Split:
    """A data set, item by item."""
    count = len(part)
    if not count:
        raise UsageError(f"the {split} split is empty")
    pixels: NDArray[np.uint8] | None = None
    labels: list[Any] = []
    rounded = False
    for index in range(count):
        image, label = _item(part, split, index)
        whole = image_of(image, split, index, None if pixels is None else pixels.shape[1])
        if pixels is None:
            pixels = np.empty((count, *whole.images.shape[1:]), dtype=np.uint8)
        if whole.images.shape[1:] != pixels.shape[1:]:
            raise UsageError(
                f"the {split} images differ in size: image 0 is {_size(pixels)}, image {index} is "
                f"{_size(whole.images)} (channels x height x width); resize and crop them to one "
                "size in the data set's transform"
            )
        if index < _ASKED_TWICE:
            _refuse_draws(part, split, index, whole)
        pixels[index] = whole.images[0]
        rounded = rounded or whole.rounded
        labels.append(_label(label))
        progress(index + 1, count)
    assert pixels is not None  # there is at least one
    names = getattr(part, CLASSES, None)
    known = isinstance(names, list | tuple) and all(isinstance(name, str) for name in names)
    return _Split(pixels, labels, rounded, tuple(names) if known and names else None)


def _item(part: Any, split: str, index: int) -> tuple[Any, Any]:
    try:
        item = part[index]
    except HashbenchError:
        raise
    except Exception as error:  # somebody's data set may raise anything
        raise UsageError(
            f"the {split} data set raises {type(error).__name__} for image {index}: {error}"
        ) from error
    if isinstance(item, Mapping):
        for image, label in _PAIRS:
            if image in item and label in item:
                return item[image], item[label]
    elif isinstance(item, tuple | list) and len(item) >= 2:
        return item[0], item[1]
    raise UsageError(
        f"the {split} data set gives a {type(item).__name__} for image {index}, expected "
        "(image, label)"
    )


def _refuse_draws(part: Any, split: str, index: int, first: WholePixels) -> None:
    again, _ = _item(part, split, index)
    second = image_of(again, split, index, first.images.shape[1])
    if not np.array_equal(first.images, second.images):
        raise UsageError(
            f"the {split} data set gives another picture each time that image {index} is asked "
            "for: leave out transforms that draw (random crops, flips)"
        )


def _label(label: Any) -> Any:
    if hasattr(label, "detach") and hasattr(label, "cpu"):
        label = label.detach().cpu().numpy()
    return label.item() if getattr(label, "ndim", None) == 0 else label


def _size(images: NDArray[np.uint8]) -> str:
    return " x ".join(map(str, images.shape[1:]))


@dataclass(frozen=True, eq=False)
class GivenData(Dataset):
    """Data in the memory of this process, as a data set; it is known by no name elsewhere.

    Attributes:
        data: its splits.
        name: what protocols and rows call it.
        length: of the ranked list; `None` for the whole database.
        card: as a plugin's, with that name.
    """

    data: RetrievalData
    name: str
    length: int | None = None
    card: Card = field(init=False)  # type: ignore[misc] # of the object: each has its own name

    def __post_init__(self) -> None:
        card = Card(kind=Kind.DATASET, name=self.name, summary="Handed over by a program.")
        object.__setattr__(self, "card", card)

    @override
    def list_length(self) -> int | None:
        return self.length

    @override
    def protocol_name(self) -> str:
        return self.name

    @override
    def load(self, root: Path | None) -> RetrievalData:
        return self.data
