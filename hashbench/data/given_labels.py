"""Labels that a program hands over, as multi-hot rows: class numbers, class names, rows of 0/1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hashbench.data.given_images import array_of
from hashbench.errors import UsageError

MAX_CLASSES: Final = 100_000
"""Beyond it numbers are no classes, but identities of images, say."""


def multi_hot(
    given: Mapping[str, object], counts: Mapping[str, int], names: Sequence[str] | None
) -> tuple[dict[str, NDArray[np.uint8]], tuple[str, ...]]:
    """The labels of all splits, and the names of the classes.

    Args:
        given: by split. Class numbers from 0 on (N,); class names (N,); or rows of 0 and 1,
            (N, classes). Arrays, tensors or lists.
        counts: images of each split.
        names: of the classes, in the order of their numbers; `None` where nobody gave any. Then
            class names are sorted, and numbers go from 0 to the largest that occurs.

    Returns:
        Rows uint8 (N, classes) by split; names.

    Raises:
        UsageError: they are no labels, or not as many as images; names the first wrong one.
    """
    arrays = {split: _array(value, split, counts[split], names) for split, value in given.items()}
    words = [array for array in arrays.values() if array.dtype.kind in "US"]
    numbers = [split for split, array in arrays.items() if array.dtype.kind not in "US"]
    if words and names is None:
        if numbers:
            raise UsageError(
                f"the {numbers[0]} labels are numbers and others are class names: give the names "
                "of the classes in the order of their numbers, as 'classes' of the data"
            )
        names = sorted({str(word) for array in words for word in array.tolist()})
    known = {name: number for number, name in enumerate(names or ())}
    for split, array in arrays.items():
        if array.dtype.kind in "US":
            arrays[split] = _numbers(array, split, known)
    classes = len(names) if names is not None else _classes(arrays)
    rows = {split: _rows(array, split, classes) for split, array in arrays.items()}
    return rows, tuple(names) if names is not None else tuple(
        f"class {number}" for number in range(classes)
    )


def _array(value: object, split: str, count: int, names: Sequence[str] | None) -> NDArray[Any]:
    where = f"the {split} labels"
    array = array_of(value, where)
    if array.ndim == 2 and array.shape[1] == 1 and (names is None or len(names) > 1):
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
