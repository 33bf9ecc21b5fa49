"""Lines of a path and its labels, as HashNet's lists have them: `im/a b.png 0 1 0`.

A path may hold blanks. Labels are the words 0 and 1 at a line's end, and as many of them in every
line: so the rest is the path, unless a path itself ends in such a word. That cannot be told from a
label more, so it is refused. Parses bytes, reads no files.
"""

from __future__ import annotations

import re
from io import BytesIO
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hashbench.data.lists.image_paths import BLANKS, parse_path
from hashbench.data.lists.label_rows import check_columns, is_number, label_error
from hashbench.errors import UsageError
from hashbench.plugins.paths import MAX_PATH
from hashbench.retrieval.packing import MAX_CLASSES

_BLANKS: Final = re.compile(rb"[ \t]+")
_LONG_WORD: Final = re.compile(rb"[01]{2,}")
_MAX_LINE: Final = MAX_PATH + 8 * MAX_CLASSES
"""Bytes of a line: a path, and labels with blanks to spare."""


def parse_joint(
    content: bytes, path: Path, strip: str | None = None
) -> tuple[tuple[str, ...], NDArray[np.uint8]]:
    """Read one path and its labels a line.

    Args:
        content: the file's bytes, UTF-8.
        path: names the file in an error.
        strip: as for `parse_image_paths`.

    Returns:
        The paths, as `parse_image_paths` gives them, and uint8 (rows, columns) of 0 and 1.

    Raises:
        UsageError: as `parse_image_paths` and `parse_label_rows`; names the file and the line.
    """
    if not content:
        raise UsageError(f"{path}: the file is empty")
    paths: list[str] = []
    rows: list[bytes] = []
    columns = 0
    for number, line in enumerate(BytesIO(content), start=1):
        where = f"{path}, line {number}"
        line = line.strip(BLANKS)
        if len(line) > _MAX_LINE:
            raise UsageError(
                f"{where}: it has {len(line):,} bytes, expected a path and at most "
                f"{MAX_CLASSES:,} labels"
            )
        name, labels = split_line(line)
        columns = columns or len(labels)
        if not labels or len(labels) != columns:
            parse_path(name, path, number)  # an empty line, or one of another encoding
            raise _error(line, where, columns)
        check_columns(columns, path)
        paths.append(parse_path(name, path, number, strip))
        rows.append(labels)
    flat = np.frombuffer(b"".join(rows), np.uint8) - ord("0")
    return tuple(paths), flat.reshape(len(rows), columns)


def split_line(line: bytes) -> tuple[bytes, bytes]:
    """The path of a line, and its labels without blanks between them, which may be none.

    The first word is never a label.

    Args:
        line: without blanks around it.
    """
    # Whole lines are looked at, not words: the labels lie after the last other character.
    start = len(line.rstrip(b"01 \t"))
    found = _BLANKS.search(line, start)
    if found is None:
        return line, b""
    end = found.start()
    for word in _LONG_WORD.finditer(line, end):  # such as 10 in a path's name
        end = word.end()
    return line[:end], line[end:].translate(None, b" \t")


def _error(line: bytes, where: str, columns: int) -> UsageError:
    """Why the labels of a line are none, or not as many as those of line 1."""
    words = line.split()
    if len(words) == 1:
        return UsageError(f"{where}: no labels")
    labels = len(split_line(line)[1])
    other = words[-1 - labels]  # the last word that is no label
    alone = labels == 0 and not (len(words) > 2 and is_number(words[-2]))
    if labels == 0 or (labels < columns and is_number(other) and len(words) > labels + 1):
        return label_error(other, where, 1 if alone else 2)
    more = "; a path that ends in a blank and 0 or 1 needs the layout of two files"
    return UsageError(
        f"{where}: {labels:,} label columns, but line 1 has {columns:,}"
        f"{more if labels > columns else ''}"
    )
