"""Data as a program has them, arrays or data sets of torch, as the splits of a benchmark."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from hashbench.characters import shown
from hashbench.data.contract import Dataset
from hashbench.data.given_classes import Numbering, numbering_of
from hashbench.data.given_images import (
    COLOURED,
    ROUNDED,
    WholePixels,
    coloured,
    image_of,
    images_of,
)
from hashbench.data.given_labels import multi_hot
from hashbench.data.given_queries import refuse_queries_in_database
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

_KEYS_SHOWN: Final = 8
"""Keys of a mapping that an error names."""

_PAIRS: Final = (
    ("image", "label"),
    ("img", "label"),
    ("image", "labels"),
    ("images", "labels"),
    ("img", "fine_label"),
)
"""The keys of an item or a split that is a mapping, as HuggingFace's data sets name them."""

_OTHER_WORDS: Final = {
    "test": "query",
    "val": "query",
    "valid": "query",
    "validation": "query",
    "queries": "query",
    "training": "train",
    "gallery": "database",
    "retrieval": "database",
    "class_names": CLASSES,
}
"""What others call the keys of the data."""


@dataclass(frozen=True)
class _Split:
    """One split before its labels are read.

    Attributes:
        pixels: its images.
        labels: as they were given.
        rounded: whether a float between two whole pixels was among the images.
        mixed: whether some of them were grey and others not.
        classes: how the data set numbers its classes, where it says so.
    """

    pixels: Pixels
    labels: Any
    rounded: bool = False
    mixed: bool = False
    classes: Numbering | None = None


def as_retrieval_data(data: object, progress: Progress = no_progress) -> RetrievalData:
    """The three splits of data that a program has.

    Args:
        data: a mapping with `train`, `query` and `database`, or an object with these attributes
            (a named tuple, a `RetrievalData`). The database may be the same object as the train
            set. No query may have the pixels of a database image; the train set should hold none
            either. Each split is one of

            - a pair `(images, labels)` of arrays, tensors or lists, or a mapping with `image` and
              `label`. Images: uint8, or floats in `[0, 1]`, which are rounded to whole 8-bit
              pixels (the protocol says so where it changed any); (N, C, H, W), (N, H, W, C) or
              grey (N, H, W); or a list of pictures of Pillow. Labels: class numbers (N,) or class
              names (N,); for several labels of an image, rows of 0 and 1 (N, classes), or a list
              of classes for each.
            - a data set of torch: anything with a length whose items are `(image, label)`; the
              image a picture of Pillow, an array or a tensor, before normalisation and without
              anything drawn at random, all of one size. It is read once, into memory. Where some
              images are grey and others are not, all become red, green and blue, and the protocol
              says so.
            - an `ImageSet`.

            A key or attribute `classes` holds the names of the classes; else a data set's own are
            taken (`class_to_idx`, `classes`, or the features of HuggingFace), and else their
            numbers. Splits that number the same classes differently are brought together by the
            names.
        progress: told (done, total) of images that are read one by one.

    Raises:
        UsageError: a split is missing, empty, or holds what are no images or labels, or more than
            one query in twenty is in the database; names split and image, and says what to do.
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
    counts = {split: len(one.pixels) for split, one in splits.items()}
    labels = {split: one.labels for split, one in splits.items()}
    numberings = {split: one.classes for split, one in splits.items()}
    rows, classes = multi_hot(labels, counts, names, numberings)
    channels = {one.pixels.shape[1] for one in splits.values()}
    if len(channels) > 1:
        splits = {split: _coloured(one) for split, one in splits.items()}
    made = RetrievalData(
        classes=classes,
        train=ImageSet(splits["train"].pixels, rows["train"]),
        query=ImageSet(splits["query"].pixels, rows["query"]),
        database=ImageSet(splits["database"].pixels, rows["database"]),
        transform=_transform(splits.values()),
    )
    refuse_queries_in_database(made.query.images, made.database.images)
    return made


def _coloured(part: _Split) -> _Split:
    """A grey split beside others in colour."""
    if not isinstance(part.pixels, np.ndarray) or part.pixels.shape[1] != 1:
        return part
    return replace(part, pixels=coloured(part.pixels), mixed=True)


def _transform(parts: Iterable[_Split]) -> str:
    """What became of images that were no whole pixels of red, green and blue, or all grey."""
    parts = tuple(parts)
    made = [COLOURED] * any(part.mixed for part in parts)
    made += [ROUNDED] * any(part.rounded for part in parts)
    return "; ".join(made) or "none"


def _parts(data: object) -> tuple[dict[str, Any], tuple[str, ...] | None]:
    if isinstance(data, Mapping):
        for key in data:
            if key not in (*SPLITS, CLASSES):
                right = [one for one in (*SPLITS, CLASSES) if one not in data]
                raise UsageError(
                    f"the data have a key '{shown(str(key))[:80]}', which is not known"
                    + did_you_mean(_OTHER_WORDS.get(str(key).lower(), str(key)), right)
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
    if isinstance(part, Mapping):
        keys = _keys(part)
        if keys is None and 0 in part:  # its items by their number
            return _read(part, split, progress)
        if keys is None:
            raise UsageError(
                f"the {split} split has {_named_keys(part)}, expected 'image' and 'label', the "
                "images and the labels of all"
            )
        part = (part[keys[0]], part[keys[1]])
    if isinstance(part, tuple | list) and len(part) == 2 and not _are_items(part):
        return _pair(part[0], part[1], split, progress)
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


def _pair(images: Any, labels: Any, split: str, progress: Progress) -> _Split:
    """All images and all labels of a split."""
    if isinstance(images, list | tuple) and any(hasattr(one, "getbands") for one in images):
        read = _read([(picture, None) for picture in images], split, progress)
        return replace(read, labels=labels)
    whole = images_of(images, split)
    return _Split(whole.images, labels, whole.rounded)


def _keys(item: Mapping[Any, Any]) -> tuple[str, str] | None:
    """The keys of image and label."""
    return next((pair for pair in _PAIRS if pair[0] in item and pair[1] in item), None)


def _named_keys(item: Mapping[Any, Any]) -> str:
    keys = ", ".join(f"'{shown(str(key))[:80]}'" for key in list(item)[:_KEYS_SHOWN])
    return f"the keys {keys}" if keys else "no keys"


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
    rounded = mixed = False
    for index in range(count):
        image, label = _item(part, split, index)
        whole = image_of(image, split, index)
        found = whole.images
        if pixels is None:
            pixels = np.empty((count, *found.shape[1:]), dtype=np.uint8)
        if found.shape[2:] != pixels.shape[2:]:
            raise UsageError(
                f"the {split} images differ in size: image 0 is {_size(pixels)}, image {index} is "
                f"{_size(found)} (channels x height x width); resize and crop them to one size in "
                "the data set's transform"
            )
        if index < _ASKED_TWICE:
            _refuse_draws(part, split, index, whole)
        if found.shape[1] != pixels.shape[1]:
            mixed = True
        if found.shape[1] > pixels.shape[1]:  # the first one in colour, of which no bit is lost
            wider = np.empty((count, *found.shape[1:]), dtype=np.uint8)
            wider[:index] = pixels[:index]
            pixels = wider
        pixels[index] = found[0]  # a grey one in each channel
        rounded = rounded or whole.rounded
        labels.append(_label(label))
        progress(index + 1, count)
    assert pixels is not None  # there is at least one
    classes = numbering_of(part, _label_key(part[0]))
    return _Split(pixels, labels, rounded, mixed, classes)


def _label_key(item: object) -> str | None:
    """The key of an item's label, where the item is a mapping."""
    keys = _keys(item) if isinstance(item, Mapping) else None
    return None if keys is None else keys[1]


def _item(part: Any, split: str, index: int) -> tuple[Any, Any]:
    try:
        item = part[index]
    except HashbenchError:
        raise
    except Exception as error:  # somebody's data set may raise anything
        raise UsageError(
            f"the {split} data set raises {type(error).__name__} for image {index}: {error}"
        ) from error
    kind = f"a {type(item).__name__}"
    if isinstance(item, Mapping):
        keys = _keys(item)
        if keys is not None:
            return item[keys[0]], item[keys[1]]
        kind += f" with {_named_keys(item)}"
    elif isinstance(item, tuple | list) and len(item) >= 2:
        return item[0], item[1]
    raise UsageError(
        f"the {split} data set gives {kind} for image {index}, expected (image, label), or the "
        "keys 'image' and 'label'"
    )


def _refuse_draws(part: Any, split: str, index: int, first: WholePixels) -> None:
    again, _ = _item(part, split, index)
    second = image_of(again, split, index)
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
