"""Labels that a program hands over, as multi-hot rows: class numbers, class names, rows of 0/1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hashbench.data.given.classes import CommonClasses, Numbering, common_classes
from hashbench.data.given.label_forms import Labels, labels_of, refuse_ambiguous
from hashbench.errors import UsageError


def multi_hot(
    given: Mapping[str, object],
    counts: Mapping[str, int],
    names: Sequence[str] | None,
    own: Mapping[str, Numbering | None],
) -> tuple[dict[str, NDArray[np.uint8]], tuple[str, ...]]:
    """The labels of all splits, and the names of the classes.

    Args:
        given: by split. Class numbers from 0 on (N,); class names (N,); lists of either, one for
            each image; or rows of 0 and 1, (N, classes). Arrays, tensors, lists, or columns of a
            table.
        counts: images of each split.
        names: of the classes, in the order of their numbers; `None` where nobody gave any. Then
            those of the data sets are taken; or else class names are sorted, and numbers go from
            0 to the largest that occurs.
        own: how each split's data set numbers its classes, `None` where it does not say.

    Returns:
        Rows uint8 (N, classes) by split; names.

    Raises:
        UsageError: they are no labels, not as many as images, or no image of a split has any; names
            the first wrong one.
    """
    known = next((one.names for one in own.values() if one is not None), names)
    one_class = known is not None and len(known) == 1
    labels = {
        split: labels_of(value, split, counts[split], one_class=one_class)
        for split, value in given.items()
    }
    refuse_ambiguous(labels.values())
    words = [one for one in labels.values() if one.named]
    numbers = [split for split, one in labels.items() if not one.named and one.values.size]
    common = common_classes(own, names, numbers)
    if common is None and words:
        if numbers:
            raise UsageError(
                f"the {numbers[0]} labels are numbers and others are class names: give the names "
                "of the classes in the order of their numbers, as 'classes' of the data"
            )
        common = CommonClasses(
            tuple(sorted({str(word) for one in words for word in one.values.tolist()})), {}
        )
    if common is None:
        classes = max(_classes(one) for one in labels.values())
        common = CommonClasses(tuple(f"class {number}" for number in range(classes)), {})
    places = {name: place for place, name in enumerate(common.names)}
    rows = {}
    for split, one in labels.items():
        if one.named:
            rows[split] = _rows(_numbered(one, places), len(common.names))
        elif split in common.columns:
            rows[split] = _placed(one, common.columns[split], len(common.names))
        else:
            rows[split] = _rows(one, len(common.names))
        if not rows[split].any():
            raise UsageError(
                f"no image of the {split} split has a class: the label of image 0 is a row "
                "without a 1, or an empty list"
            )
    return rows, common.names


def _numbered(labels: Labels, known: Mapping[str, int]) -> Labels:
    words = labels.values.tolist()
    for image, word in zip(labels.images.tolist(), words, strict=True):
        if word not in known:
            raise UsageError(
                f"the label of the {labels.split} image {image} is '{word}', which is none of the "
                f"{len(known)} class names"
            )
    return replace(labels, values=np.array([known[word] for word in words], dtype=np.int64))


def _classes(labels: Labels) -> int:
    values = labels.values
    return int(values.shape[1]) if labels.rows else int(values.max(initial=-1)) + 1


def _rows(labels: Labels, classes: int) -> NDArray[np.uint8]:
    values = labels.values
    if labels.rows:
        if values.shape[1] != classes:
            raise UsageError(
                f"the {labels.split} labels have {values.shape[1]:,} columns, but there are "
                f"{classes:,} classes"
            )
        return np.asarray(values, dtype=np.uint8)
    labels.refuse(values < classes, f"below {classes:,}, the number of classes")
    rows = np.zeros((labels.count, classes), dtype=np.uint8)
    rows[labels.images, values] = 1
    return rows


def _placed(labels: Labels, columns: Mapping[int, int], classes: int) -> NDArray[np.uint8]:
    """Rows whose columns are those of all splits, of labels in a data set's own numbers."""
    count = max(columns) + 1
    own = _rows(labels, count)
    order = sorted(columns)
    right = np.isin(range(count), order) | (own == 0)
    if not labels.rows:
        right = np.isin(labels.values, order)
    labels.refuse(right, f"of the numbers of its classes: {', '.join(map(str, order))}")
    rows = np.zeros((len(own), classes), dtype=np.uint8)
    rows[:, [columns[number] for number in order]] = own[:, order]
    return rows
