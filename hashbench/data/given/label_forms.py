"""The forms in which a program hands over the labels of a split, as classes of its images."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from numbers import Real
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hashbench.data.given.images import array_of, detached
from hashbench.errors import UsageError

MAX_CLASSES: Final = 100_000
"""Beyond it numbers are no classes, but identities of images, say."""

_MANY: Final = (list, tuple, set, frozenset)


class _Form(Enum):
    """What one image's label is."""

    NAME = "a class name"
    NUMBER = "a class number"
    SEVERAL = "a list of classes"
    NOTHING = "no label"


@dataclass(frozen=True)
class Labels:
    """The labels of one split.

    Attributes:
        split: `train`, `query` or `database`, for errors.
        values: class numbers int64 (M,), class names (M,), or rows of 0 and 1, uint8 (N, classes).
        images: int64, which image each of the values belongs to.
        count: N, how many images there are.
        listed: whether the numbers were lists, one for each image.
        either: lists of equally many 0 and 1, which are rows unless other splits have lists.
    """

    split: str
    values: NDArray[Any]
    images: NDArray[np.int64]
    count: int
    listed: bool = False
    either: bool = False

    @property
    def named(self) -> bool:
        """Whether they are class names."""
        return self.values.dtype.kind == "U"

    @property
    def rows(self) -> bool:
        """Whether they are rows of 0 and 1."""
        return self.values.ndim == 2

    def refuse(self, right: NDArray[np.bool_], what: str) -> None:
        """Raise UsageError for the first image of which not all values are right."""
        if not right.all():
            at = int(np.argmin(right.reshape(len(right), -1).all(axis=1)))
            wrong = np.atleast_1d(self.values[at])[~np.atleast_1d(right[at])][0]
            raise UsageError(
                f"the label of the {self.split} image {self.images[at]} is {wrong}, but must be "
                f"{what}"
            )


def labels_of(value: object, split: str, count: int, *, one_class: bool) -> Labels:
    """Read the labels of one split.

    Args:
        value: class numbers from 0 on, class names, lists of them, or rows of 0 and 1; an array,
            a tensor, a list, or a column of a table.
        split: of which, for errors.
        count: how many images it has.
        one_class: whether there is a single class, so that one column is a row of 0 or 1.

    Raises:
        UsageError: they are no labels, or not as many as images; names the first wrong one.
    """
    where = f"the {split} labels"
    value = _unwrapped(value)
    found = _array_or_items(value, where)
    shape = found.shape if isinstance(found, np.ndarray) else (len(found),)
    if not shape or len(shape) > 2:
        raise UsageError(
            f"{where} have shape {shape}, expected class numbers (N,) or rows of 0 and 1 "
            "(N, classes)"
        )
    if len(found) != count:
        raise UsageError(f"there are {count:,} {split} images, but {len(found):,} labels of them")
    if not isinstance(found, np.ndarray):
        return _of_items(found, split)
    if found.ndim == 2 and not found.shape[1]:
        return _flat(split, [], [], count, listed=True)
    if found.ndim == 2 and found.shape[1] == 1 and not one_class:
        found = found[:, 0]  # a column of class numbers
    every = np.arange(count)
    if found.dtype.kind == "U":
        return Labels(split, found, every, count)
    if found.dtype.kind not in "biuf":
        raise UsageError(f"{where} are {found.dtype}, expected numbers or class names")
    several = found.ndim == 2 and isinstance(value, list | tuple) and _are_lists(value)
    if several and bool((found > 1).any()) and _differ(found):
        return _of_items(found.tolist(), split)
    labels = Labels(split, found, every, count, either=several)
    return _checked(labels, "0 or 1" if found.ndim == 2 else None)


def _checked(labels: Labels, what: str | None = None) -> Labels:
    values = labels.values
    if values.dtype.kind == "f":
        labels.refuse(values == np.rint(values), "a whole number")
    most = 1 if labels.rows else MAX_CLASSES - 1
    labels.refuse((values >= 0) & (values <= most), what or f"a class number from 0 to {most:,}")
    kind = np.uint8 if labels.rows else np.int64
    return replace(labels, values=values.astype(kind))


def _unwrapped(value: object) -> object:
    """Columns of tables as arrays, and arrays of objects as lists."""
    if hasattr(value, "to_numpy"):
        value = value.to_numpy()
    return list(value) if isinstance(value, np.ndarray) and value.dtype == object else value


def _array_or_items(value: object, where: str) -> NDArray[Any] | list[Any]:
    """Numbers or names of one shape as an array, and all else image by image."""
    if isinstance(value, list | tuple):
        try:
            found = np.asarray(value)
        except (ValueError, TypeError):  # lists that differ in length, say
            return list(value)
        if found.dtype.kind in "USO" or found.ndim > 2:  # numpy makes texts of numbers among them
            return list(value)
    elif isinstance(value, np.ndarray):
        found = value
    else:
        found = array_of(value, where)
    if found.ndim == 2 and found.dtype.kind in "US":
        return [list(row) for row in found]
    return list(found) if found.dtype.kind == "S" else found


def _are_lists(value: Sequence[Any]) -> bool:
    return all(isinstance(item, _MANY) for item in value)


def _differ(rows: NDArray[Any]) -> bool:
    """Whether no row has a value twice, as rows of 0 and 1 with a wrong number mostly have."""
    return all(len(set(row)) == len(row) for row in rows.tolist())


def _of_items(items: list[Any], split: str) -> Labels:
    plain = [_plain(item) for item in items]
    forms = [_form(item) for item in plain]
    wrong = next((at for at, form in enumerate(forms) if form is not forms[0]), None)
    if forms[0] is _Form.NOTHING:
        wrong = 0
    if wrong is not None:
        expected = "a class number, a class name or a list of classes"
        if wrong:
            expected = f"{forms[0].value} as those before it"
        raise UsageError(
            f"the label of the {split} image {wrong} is {plain[wrong]!r:.80} "
            f"({type(items[wrong]).__name__}), expected {expected}"
        )
    count = len(plain)
    if forms[0] is not _Form.SEVERAL:
        return _flat(split, plain, range(count), count)
    images = [at for at, members in enumerate(plain) for _ in members]
    members = [member for several in plain for member in several]
    return _flat(split, members, images, count, listed=True)


def _flat(
    split: str, members: list[Any], images: Iterable[int], count: int, *, listed: bool = False
) -> Labels:
    at = np.array(list(images), dtype=np.int64)
    if not members:
        return Labels(split, np.zeros(0, dtype=np.int64), at, count, listed)
    forms = [_form(member) for member in members]
    wrong = next((k for k, form in enumerate(forms) if form is not forms[0]), None)
    if forms[0] not in (_Form.NAME, _Form.NUMBER):
        wrong = 0
    if wrong is not None:
        expected = "class numbers, or class names, and the same for all"
        raise UsageError(
            f"the label of the {split} image {at[wrong]} holds {members[wrong]!r:.80} "
            f"({type(members[wrong]).__name__}), expected {expected}"
        )
    if forms[0] is _Form.NAME:
        return Labels(split, np.array(members, dtype=np.str_), at, count, listed)
    return _checked(Labels(split, np.array(members), at, count, listed))


def _plain(item: Any) -> Any:
    """One image's label without its wrapping of numpy or torch, names as text, lists as lists."""
    item = detached(item)
    if isinstance(item, np.ndarray):
        item = item.tolist()
    if isinstance(item, set | frozenset):
        item = sorted(item, key=repr)
    if isinstance(item, _MANY):
        return [_plain(member) for member in item]
    if isinstance(item, bytes):
        try:
            return item.decode()
        except UnicodeDecodeError:
            return item
    return item


def _form(item: object) -> _Form:
    if isinstance(item, str):
        return _Form.NAME
    if isinstance(item, Real | np.bool_):
        return _Form.NUMBER
    return _Form.SEVERAL if isinstance(item, list) else _Form.NOTHING


def refuse_ambiguous(all_labels: Collection[Labels]) -> None:
    """Refuse lists of 0 and 1 that are rows or lists of classes, where other splits have lists.

    Raises:
        UsageError: it cannot be said which of both they are.
    """
    lists = [one.split for one in all_labels if one.listed and not one.named]
    for one in all_labels:
        if lists and one.either:
            raise UsageError(
                f"the {one.split} labels are lists of {one.values.shape[1]} numbers 0 or 1, which "
                f"are rows, or class numbers as in the {lists[0]} labels: give all labels as rows "
                "of 0 and 1 (N, classes)"
            )
