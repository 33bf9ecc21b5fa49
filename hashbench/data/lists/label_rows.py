"""Rows of 0 and 1 as the papers' list files hold them. Parses bytes, reads no files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hashbench.data.lists.image_paths import quoted
from hashbench.errors import UsageError
from hashbench.retrieval.packing import MAX_CLASSES

CLASS_NUMBERS: Final = (
    "class numbers are to be written as rows of 0 and 1, one column for each class, or read with "
    "lists:labels=numbers"
)

_SAVED: Final = re.compile(rb"[-+\d.,eE]+\Z")
"""What numpy.savetxt writes."""

_NEWLINE, _ZERO, _ONE = b"\n01"
_BLANKS = b" \t"
_BLOCK = 1 << 20
"""Bytes that are looked at together; so long a line is none of labels."""

_NUMBER: Final = re.compile(rb"\d+(\.0*)?\Z")


def parse_label_rows(content: bytes, path: Path) -> NDArray[np.uint8]:
    r"""Read lines such as `0 1 0 0`, all of the same number of columns.

    Whole arrays are looked at, not lines: 117,218 rows of 80 columns take about 0.4 s.

    Args:
        content: the file's bytes; blanks at a line's end and `\r\n` do not matter.
        path: names the file in an error.

    Returns:
        uint8 (rows, columns) of 0 and 1.

    Raises:
        UsageError: an empty file or line, a value other than 0 or 1, a row of another length than
            the first, or of more columns than can be used; names the file and the line.
    """
    if not content:
        raise UsageError(f"{path}: the file is empty")
    found: list[NDArray[np.uint8]] = []
    columns = done = 0
    for block in _blocks(content):
        if len(block) > 2 * _BLOCK:
            number = done + block.count(b"\n")
            raise UsageError(
                f"{path}, line {number}: it has more than {_BLOCK:,} bytes, expected at most "
                f"{MAX_CLASSES:,} labels"
            )
        rows = _parse_block(block, path, done, columns)
        columns = rows.shape[1]
        check_columns(columns, path)
        done += len(rows)
        found.append(rows)
    return np.concatenate(found)


def check_columns(columns: int, path: Path) -> None:
    """Refuse more label columns than the retrieval core takes.

    Raises:
        UsageError: there are more; names the file and its first line.
    """
    if columns > MAX_CLASSES:
        raise UsageError(
            f"{path}, line 1: {columns:,} label columns, expected at most {MAX_CLASSES:,}"
        )


def refuse_class_numbers(labels: NDArray[np.uint8], path: Path) -> None:
    """Refuse a single label column that is 0 anywhere: the images of class 0, not of no class.

    One column that is 1 in every row is a data set of one class.

    Args:
        labels: uint8 (rows, columns) of 0 and 1.
        path: the list, for an error.

    Raises:
        UsageError: names the file and the line.
    """
    if labels.shape[1] == 1 and not labels.all():
        raise UsageError(
            f"{path}, line {int(labels[:, 0].argmin()) + 1}: the only label column is 0 here, as "
            f"if this were a class number; {CLASS_NUMBERS}"
        )


def label_error(value: bytes, where: str, values: int) -> UsageError:
    """The error for a value that is no label.

    Args:
        value: what was found.
        where: the file and the line.
        values: how many the line has: one that stands alone may be a class number.
    """
    found = quoted(value[:80].decode("utf-8", "replace"))
    hint = ""
    if values == 1 and is_number(value):
        hint = f"; {CLASS_NUMBERS}"
    elif _SAVED.match(value) and not value.isdigit():
        hint = "; lists:labels=savetxt reads rows of numpy.savetxt, -1 and 1, and commas"
    elif value[:1].isalpha():
        hint = "; lists:labels=names reads names of classes"
    return UsageError(f"{where}: labels must be 0 or 1, found {found}{hint}")


def is_number(value: bytes) -> bool:
    """Whether a word of a list may be the number of a class."""
    return _NUMBER.match(value) is not None


def _blocks(content: bytes) -> Iterator[bytes]:
    """Whole lines, about `_BLOCK` bytes at a time."""
    start = 0
    while start < len(content):
        end = content.find(b"\n", start + _BLOCK - 1) + 1 or len(content)
        block = content[start:end].replace(b"\r\n", b"\n")
        yield block if block.endswith(b"\n") else block + b"\n"
        start = end


def _parse_block(block: bytes, path: Path, before: int, columns: int) -> NDArray[np.uint8]:
    """The rows of a block; `columns` is 0 for the first."""
    flat = np.frombuffer(block, np.uint8)
    newline, digit = flat == _NEWLINE, (flat == _ZERO) | (flat == _ONE)
    bad = ~(newline | digit | (flat == _BLANKS[0]) | (flat == _BLANKS[1]))
    bad[1:] |= digit[1:] & digit[:-1]
    ends = np.flatnonzero(newline)
    places = np.flatnonzero(digit)
    counts = np.diff(np.searchsorted(places, ends), prepend=0)
    columns = columns or int(counts[0])
    uneven = counts != columns
    uneven |= counts == 0
    lines = [int(uneven.argmax())] if uneven.any() else []
    if bad.any():
        lines.append(int(np.searchsorted(ends, bad.argmax())))
    if lines:
        raise _error(block, f"{path}, line {before + min(lines) + 1}", min(lines), columns)
    return (flat[places] - _ZERO).reshape(len(ends), -1)


def _error(block: bytes, where: str, index: int, columns: int) -> UsageError:
    values = block.split(b"\n")[index].split()
    if not values:
        return UsageError(f"{where}: no labels")
    for value in values:
        if value not in (b"0", b"1"):
            return label_error(value, where, len(values))
    return UsageError(f"{where}: {len(values):,} label columns, but line 1 has {columns:,}")
