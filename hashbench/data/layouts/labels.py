"""From the labels that people write, names or class numbers, to rows of 0 and 1."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hashbench.characters import shown
from hashbench.coercion import quoted as quoted_value
from hashbench.data.layouts.folders import in_order
from hashbench.data.layouts.own import Found, check_size
from hashbench.data.lists.image_paths import quoted
from hashbench.data.lists.listing import CLASS_NAMES, MAX_NAME, ListedSplit, listed_names
from hashbench.errors import UsageError
from hashbench.suggestions import did_you_mean

_NUMBER: Final = re.compile(r"[+-]?\d{1,30}(\.\d{0,30})?([eE][+-]?\d{1,2})?")
_WHOLE: Final = re.compile(r"\d{1,30}")
_NO_LABEL: Final = frozenset(("nan", "NaN"))


class Values(StrEnum):
    """What the values of a list of labels are."""

    CLASSES = "classes"  # names, or numbers, of an image's classes
    ONEHOT = "onehot"  # 0 or 1 for each class


class Repeats(StrEnum):
    """What it means that an image comes in several rows."""

    IMAGE = "image"  # a row is an image: it is listed twice
    LABEL = "label"  # a row is one label of an image


@dataclass
class Rows:
    """Images of one split, as a table or a metadata file lists them.

    Attributes:
        file: where they stand.
        paths: relative to the data folder.
        labels: the classes of each, as text.
        lines: of the file, from 1.
        unit: what these numbers count.
    """

    file: Path
    paths: list[str] = field(default_factory=list)
    labels: list[tuple[str, ...]] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    unit: str = "line"

    def add(self, path: str, labels: tuple[str, ...], line: int) -> None:
        """One row more."""
        self.paths.append(path)
        self.labels.append(labels)
        self.lines.append(line)

    def where(self, row: int) -> str:
        """File and line of a row."""
        return f"{self.file}, {self.unit} {self.lines[row]}"


def labelled(
    home: Path,
    parts: Mapping[str, Rows],
    repeats: Repeats | None,
    columns: Sequence[str] | None = None,
) -> Found:
    """Label rows for all splits, with the same columns.

    Args:
        home: the data folder; its `classes.txt`, if there is one, names the classes, and their
            order is that of the columns. Labels that are whole numbers count its lines from 0.
        parts: the splits.
        repeats: what an image in several rows means; None leaves rows as they are.
        columns: the classes, where they are known; otherwise those of `classes.txt`, else all
            labels that occur.

    Raises:
        UsageError: a label is none, or not among the classes; or an image comes again with other
            labels. Names file and line.
    """
    if repeats is not None:
        parts = {name: _merged(rows, repeats) for name, rows in parts.items()}
    if columns is None and (home / CLASS_NAMES).exists():
        columns = listed_names(home)
        parts = {name: _named(rows, columns) for name, rows in parts.items()}
    elif columns is None:
        parts = _as_numbers(parts)
        columns = in_order([one for rows in parts.values() for some in rows.labels for one in some])
    check_size(home, sum(len(rows.paths) for rows in parts.values()), len(columns))
    places = {name: place for place, name in enumerate(columns)}
    found = {
        name: ListedSplit(
            rows.file,
            tuple(rows.paths),
            _multi_hot([[places[one] for one in some] for some in rows.labels], len(columns)),
            place=rows.where,
        )
        for name, rows in parts.items()
    }
    return Found(found, tuple(map(shown, columns)))


def label_text(value: Any, where: str) -> str:
    """A label out of JSON or of a column, as text without blanks around it.

    Raises:
        UsageError: it is neither a text nor a number.
    """
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise UsageError(
            f"{where}: a label must be a name or a class number, found {shown(quoted_value(value))}"
        )
    try:
        return str(value).strip()
    except ValueError:  # Python writes no whole number of 5,000 digits
        raise UsageError(f"{where}: a label has thousands of digits") from None


def one_label(text: str, where: str) -> str:
    """A label as it is, if it is one.

    Raises:
        UsageError: it is empty, not a number by name, negative, no whole number, or too long.
    """
    if not text or text in _NO_LABEL:
        raise UsageError(f"{where}: the label is missing; leave the row out")
    if len(text) > MAX_NAME:
        raise UsageError(
            f"{where}: a label of {len(text):,} characters, expected at most {MAX_NAME}"
        )
    if _NUMBER.fullmatch(text):
        value = float(text)
        if value < 0:
            raise UsageError(
                f"{where}: the label is {text}; class numbers begin at 0, so this looks like an "
                "image without a label: leave the row out"
            )
        if value != int(value):
            raise UsageError(f"{where}: the label is {text}, which is no class")
    return text


@dataclass
class LabelLists:
    """Reads lists of labels, one after the other.

    Attributes:
        values: what is in them.
        width: how many values each has, where they are rows of 0 and 1; 0 before the first.
        rows: the parameter that says that they are such rows, for an error.
    """

    values: Values
    width: int = 0
    rows: str = "values=onehot"

    def read(self, texts: Sequence[str], where: str) -> tuple[str, ...]:
        """The classes of a list of labels.

        Args:
            texts: the list; it may be empty.
            where: file and line, for an error.

        Returns:
            Names or numbers, each once; of a row of 0 and 1 the numbers of its columns.

        Raises:
            UsageError: a label is none; a row of 0 and 1 has another length than the first; or a
                list looks like such a row, but was not said to be one.
        """
        if self.values is Values.ONEHOT:
            self.width = self.width or len(texts)
            if not texts or len(texts) != self.width:
                raise UsageError(
                    f"{where}: {len(texts):,} labels, but the first row has {self.width:,}"
                )
            return tuple(str(place) for place, text in enumerate(texts) if is_one(text, where))
        if len(texts) > 1 and set(texts) <= {"0", "1"}:
            raise UsageError(
                f"{where}: the labels are {quoted(' '.join(texts))}, which may be a row of 0 and "
                f"1, or class numbers; say {self.rows} if it is a row"
            )
        return tuple(dict.fromkeys(one_label(text, where) for text in texts))

    def columns(self, home: Path) -> tuple[str, ...] | None:
        """The label columns, where the lists were rows of 0 and 1 and no `classes.txt` names them.

        Raises:
            UsageError: it has another number of names.
        """
        if self.values is not Values.ONEHOT or not self.width:
            return None
        if not (home / CLASS_NAMES).exists():
            return tuple(map(str, range(self.width)))
        names = listed_names(home)
        if len(names) != self.width:
            raise UsageError(
                f"{home / CLASS_NAMES}: {len(names):,} class names, but {self.width:,} label "
                "columns"
            )
        return None


def is_one(text: str, where: str) -> bool:
    """Whether a cell of a label column says yes.

    Raises:
        UsageError: it is neither 0 nor 1 (nor `0.0`, `true`, ...).
    """
    if text in ("1", "0"):
        return text == "1"
    lower = text.lower()
    if lower in ("true", "false"):
        return lower == "true"
    if _NUMBER.fullmatch(text) and float(text) in (0, 1):
        return float(text) == 1
    found = quoted(text) if text else "nothing"
    raise UsageError(f"{where}: a column of labels must hold 0 or 1, found {found}")


def _merged(rows: Rows, repeats: Repeats) -> Rows:
    """One row for each image, where a row is a label; otherwise the rows, if they agree."""
    first = dict[str, int]()
    made = Rows(rows.file)
    for row, path in enumerate(rows.paths):
        if path not in first:
            first[path] = len(made.paths) if repeats is Repeats.LABEL else row
            if repeats is Repeats.LABEL:
                made.add(path, rows.labels[row], rows.lines[row])
        elif repeats is Repeats.LABEL:
            place = first[path]
            made.labels[place] = tuple(dict.fromkeys((*made.labels[place], *rows.labels[row])))
        elif set(rows.labels[first[path]]) != set(rows.labels[row]):
            raise UsageError(
                f"{rows.where(row)}: the image {quoted(path)} comes again with other labels than "
                f"in line {rows.lines[first[path]]}; if every row is one label of an image, say "
                "rows=label"
            )
    return made if repeats is Repeats.LABEL else rows


def _named(rows: Rows, names: Sequence[str]) -> Rows:
    """Labels that are numbers as the names of these classes."""
    known = {name: name for name in names}
    if not any(_WHOLE.fullmatch(name) for name in names):
        known |= {str(place): name for place, name in enumerate(names)}
    labels = []
    for row, some in enumerate(rows.labels):
        for one in some:
            if one not in known:
                numbers = f", nor one of its {len(names):,} lines, counted from 0"
                hint = numbers if _WHOLE.fullmatch(one) else did_you_mean(one, names)
                raise UsageError(
                    f"{rows.where(row)}: the label {quoted(one)} is no class of {CLASS_NAMES}{hint}"
                )
        labels.append(tuple(known[one] for one in some))
    return replace(rows, labels=labels)


def _as_numbers(parts: Mapping[str, Rows]) -> dict[str, Rows]:
    """Labels such as `3.0`, which tables make of whole numbers, as numbers, if all are numbers."""
    different = {one for rows in parts.values() for some in rows.labels for one in some}
    if not all(_NUMBER.fullmatch(one) for one in different):
        return dict(parts)
    whole = {one: one if _WHOLE.fullmatch(one) else str(int(float(one))) for one in different}
    return {
        name: replace(rows, labels=[tuple(whole[one] for one in some) for some in rows.labels])
        for name, rows in parts.items()
    }


def _multi_hot(columns: Iterable[Sequence[int]], classes: int) -> NDArray[np.uint8]:
    every = list(columns)
    labels = np.zeros((len(every), classes), np.uint8)
    rows = np.repeat(np.arange(len(every)), [len(some) for some in every])
    labels[rows, np.array([one for some in every for one in some], np.int64)] = 1
    return labels
