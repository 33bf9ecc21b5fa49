"""Data as a program has them, arrays or data sets of torch, as the splits of a benchmark."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

import numpy as np

from hashbench.characters import shown
from hashbench.data.given.images import (
    COLOURED,
    ROUNDED,
    coloured,
    images_of,
)
from hashbench.data.given.items import GivenSplit, keys_of, named_keys, read_items
from hashbench.data.given.labels import multi_hot
from hashbench.data.given.queries import tolerated_queries_in_database
from hashbench.data.images import SPLITS, ImageSet, RetrievalData
from hashbench.data.layouts.roles import kind_of
from hashbench.errors import UsageError
from hashbench.progress import Progress, no_progress
from hashbench.suggestions import did_you_mean

CLASSES: Final = "classes"
"""The further key of a mapping: the names of the classes."""

_OTHER_WORDS: Final = {
    "test": "query",
    "val": "query",
    "retrieval": "database",
    "class_names": CLASSES,
}
"""What others call the keys of the data, beside the words that are known of folders."""


def as_retrieval_data(data: object, progress: Progress = no_progress) -> RetrievalData:
    """The three splits of data that a program has.

    Args:
        data: a mapping with `train`, `query` and `database`, or an object with these attributes
            (a named tuple, a `RetrievalData`). The database may be the same object as the train
            set. Not more than one query in twenty may have the pixels of a database image; the
            train set should hold none either. Each split is one of

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
    read: dict[int, GivenSplit] = {}
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
    return RetrievalData(
        classes=classes,
        train=ImageSet(splits["train"].pixels, rows["train"]),
        query=ImageSet(splits["query"].pixels, rows["query"]),
        database=ImageSet(splits["database"].pixels, rows["database"]),
        transform=_transform(splits.values()),
        found_again=tolerated_queries_in_database(
            splits["query"].pixels, splits["database"].pixels
        ),
    )


def _coloured(part: GivenSplit) -> GivenSplit:
    """A grey split beside others in colour."""
    if not isinstance(part.pixels, np.ndarray) or part.pixels.shape[1] != 1:
        return part
    return replace(part, pixels=coloured(part.pixels), mixed=True)


def _transform(parts: Iterable[GivenSplit]) -> str:
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
                word = kind_of(str(key)) or str(key).lower()
                raise UsageError(
                    f"the data have a key '{shown(str(key))[:80]}', which is not known"
                    f"{did_you_mean(_OTHER_WORDS.get(word, word), right)}"
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


def _split(part: Any, split: str, progress: Progress) -> GivenSplit:
    if isinstance(part, ImageSet):
        return GivenSplit(part.images, part.labels)
    if isinstance(part, Mapping):
        keys = keys_of(part)
        if keys is None and 0 in part:  # its items by their number
            return read_items(part, split, progress)
        if keys is None:
            raise UsageError(
                f"the {split} split has {named_keys(part)}, expected 'image' and 'label', the "
                "images and the labels of all"
            )
        part = (part[keys[0]], part[keys[1]])
    if isinstance(part, tuple | list) and len(part) == 2 and not _are_items(part):
        return _pair(part[0], part[1], split, progress)
    if hasattr(part, "__getitem__") and hasattr(part, "__len__") and not _is_array(part):
        return read_items(part, split, progress)
    hint = ""
    if hasattr(part, "dataset"):
        hint = "; of a DataLoader, give its .dataset"
    elif _is_array(part):
        hint = "; it is images alone, without labels"
    raise UsageError(
        f"the {split} split is a {type(part).__name__}, expected a pair (images, labels), or a "
        f"data set with a length and items (image, label){hint}"
    )


def _pair(images: Any, labels: Any, split: str, progress: Progress) -> GivenSplit:
    """All images and all labels of a split."""
    if isinstance(images, list | tuple) and any(hasattr(one, "getbands") for one in images):
        read = read_items([(picture, None) for picture in images], split, progress)
        return replace(read, labels=labels)
    whole = images_of(images, split)
    return GivenSplit(whole.images, labels, whole.rounded)


def _are_items(part: tuple[Any, ...] | list[Any]) -> bool:
    """Whether a list of two is a data set of two items: (image, label) and (image, label)."""
    return all(isinstance(one, tuple) and len(one) == 2 for one in part)


def _is_array(part: object) -> bool:
    return hasattr(part, "dtype") and hasattr(part, "shape")
