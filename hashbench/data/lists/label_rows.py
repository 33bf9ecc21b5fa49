"""Rows of 0 and 1 as the papers' list files hold them. Parses bytes, reads no files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hashbench.errors import UsageError

_NEWLINE, _ZERO, _ONE = b"\n01"
_BLANKS = b" \t"


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
            the first; names the file and the line.
    """
    if not content:
        raise UsageError(f"{path}: the file is empty")
    content = content.replace(b"\r\n", b"\n")
    flat = np.frombuffer(content if content.endswith(b"\n") else content + b"\n", np.uint8)
    newline, digit = flat == _NEWLINE, (flat == _ZERO) | (flat == _ONE)
    bad = ~(newline | digit | (flat == _BLANKS[0]) | (flat == _BLANKS[1]))
    bad[1:] |= digit[1:] & digit[:-1]
    ends = np.flatnonzero(newline)
    places = np.flatnonzero(digit)
    columns = np.diff(np.searchsorted(places, ends), prepend=0)
    uneven = columns != columns[0]
    uneven |= columns == 0
    lines = [int(uneven.argmax())] if uneven.any() else []
    if bad.any():
        lines.append(int(np.searchsorted(ends, bad.argmax())))
    if lines:
        raise _error(content, path, min(lines), int(columns[0]))
    return (flat[places] - _ZERO).reshape(len(ends), -1)


def _error(content: bytes, path: Path, index: int, columns: int) -> UsageError:
    where = f"{path}, line {index + 1}"
    values = content.split(b"\n")[index].split()
    if not values:
        return UsageError(f"{where}: no labels")
    for value in values:
        if value not in (b"0", b"1"):
            found = value[:20].decode("utf-8", "replace")
            return UsageError(f"{where}: labels must be 0 or 1, found '{found}'")
    return UsageError(f"{where}: {len(values)} label columns, but line 1 has {columns}")
