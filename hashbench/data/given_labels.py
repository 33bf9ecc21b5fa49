"""Labels that a program hands over, as multi-hot rows: class numbers, class names, rows of 0/1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hashbench.data.given_classes import CommonClasses, Numbering, common_classes
from hashbench.data.given_images import array_of
from hashbench.errors import UsageError

MAX_CLASSES: Final = 100_000
"""Beyond it numbers are no classes, but identities of images, say."""


def multi_hot(
    given: Mapping[str, object],
    counts: Mapping[str, int],
    names: Sequence[str] | None,
    own: Mapping[str, Numbering | None],
) -> tuple[dict[str, NDArray[np.uint8]], tuple[str, ...]]:
    """The labels of all splits, and the names of the classes.

    Args:
        given: by split. Class numbers from 0 on (N,); class names (N,); or rows of 0 and 1,
            (N, classes). Arrays, tensors or lists.
        counts: images of each split.
        names: of the classes, in the order of their numbers; `None` where nobody gave any. Then
            those of the data sets are taken; or else class names are sorted, and numbers go from
            0 to the largest that occurs.
        own: how each split's data set numbers its classes, `None` where it does not say.

    Returns:
        Rows uint8 (N, classes) by split; names.

    Raises:
        UsageError: they are no labels, or not as many as images; names the first wrong one.
    """
    few = next((one.names for one in own.values() if one is not None), names)
    arrays = {
        split: _array(value, split, counts[split], one_class=few is not None and len(few) == 1)
        for split, value in given.items()
    }
    words = [array for array in arrays.values() if array.dtype.kind in "US"]
    numbers = [split for split, array in arrays.items() if array.dtype.kind not in "US"]
    common = common_classes(own, names, numbers)
    if common is None and words:
        if numbers:
            raise UsageError(
                f"the {numbers[0]} labels are numbers and others are class names: give the names "
                "of the classes in the order of their numbers, as 'classes' of the data"
            )
        common = CommonClasses(
            tuple(sorted({str(word) for array in words for word in array.tolist()})), {}
        )
    if common is None:
        classes = _classes(arrays)
        common = CommonClasses(tuple(f"class {number}" for number in range(classes)), {})
    known = {name: number for number, name in enumerate(common.names)}
    rows = {}
    for split, array in arrays.items():
        if array.dtype.kind in "US":
            rows[split] = _rows(_numbers(array, split, known), split, len(common.names))
        elif split in common.columns:
            rows[split] = _placed(array, split, common.columns[split], common.names)
        else:
            rows[split] = _rows(array, split, len(common.names))
    return rows, common.names


def _array(value: object, split: str, count: int, *, one_class: bool) -> NDArray[Any]:
    where = f"the {split} labels"
    array = array_of(value, where)
    if array.ndim == 2 and array.shape[1] == 1 and not one_class:
        array = array[:, 0]  # a column of class numbers
    if array.ndim not in (1, 2):
        raise UsageError(
            f"{where} have shape {array.shape}, expected class numbers (N,) or rows of 0 and 1 "
            "(N, classes)"
        )
    if len(array) != count:
        raise UsageError(f"there are {count:,} {split} images, but {len(array):,} labels of them")
    if array.dtype.kind in "US" and array.ndim == 1:
        return array
    if array.dtype.kind not in "biuf":
        raise UsageError(f"{where} are {array.dtype}, expected numbers or class names")
    if array.dtype.kind == "f":
        _refuse(split, array, (array == np.rint(array)), "a whole number")
    most = 1 if array.ndim == 2 else MAX_CLASSES - 1
    what = "0 or 1" if array.ndim == 2 else f"a class number from 0 to {most:,}"
    _refuse(split, array, (array >= 0) & (array <= most), what)
    return array.astype(np.uint8 if array.ndim == 2 else np.int64)


def _refuse(split: str, array: NDArray[Any], right: NDArray[np.bool_], what: str) -> None:
    if not right.all():
        at = int(np.argmin(right.reshape(len(right), -1).all(axis=1)))
        wrong = np.atleast_1d(array[at])[~np.atleast_1d(right[at])][0]
        raise UsageError(f"the label of the {split} image {at} is {wrong}, but must be {what}")


def _numbers(array: NDArray[Any], split: str, known: Mapping[str, int]) -> NDArray[np.int64]:
    for at, word in enumerate(array.tolist()):
        if str(word) not in known:
            raise UsageError(
                f"the label of the {split} image {at} is '{word}', which is none of the "
                f"{len(known)} class names"
            )
    return np.array([known[str(word)] for word in array.tolist()], dtype=np.int64)


def _classes(arrays: Mapping[str, NDArray[Any]]) -> int:
    return max(
        int(array.shape[1]) if array.ndim == 2 else int(array.max(initial=-1)) + 1
        for array in arrays.values()
    )


def _rows(array: NDArray[Any], split: str, classes: int) -> NDArray[np.uint8]:
    if array.ndim == 2:
        if array.shape[1] != classes:
            raise UsageError(
                f"the {split} labels have {array.shape[1]:,} columns, but there are {classes:,} "
                "classes"
            )
        return np.asarray(array, dtype=np.uint8)
    _refuse(split, array, array < classes, f"below {classes:,}, the number of classes")
    rows = np.zeros((len(array), classes), dtype=np.uint8)
    rows[np.arange(len(array)), array] = 1
    return rows


def _placed(
    array: NDArray[Any], split: str, columns: Mapping[int, int], names: Sequence[str]
) -> NDArray[np.uint8]:
    """Rows whose columns are those of all splits, of labels in a data set's own numbers."""
    count = max(columns) + 1
    own = _rows(array, split, count)
    order = sorted(columns)
    right = np.isin(array, order) if array.ndim == 1 else np.isin(range(count), order) | (own == 0)
    _refuse(split, array, right, f"of the numbers of its classes: {', '.join(map(str, order))}")
    rows = np.zeros((len(own), len(names)), dtype=np.uint8)
    rows[:, [columns[number] for number in order]] = own[:, order]
    return rows
