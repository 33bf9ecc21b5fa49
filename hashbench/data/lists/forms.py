"""Lists in other forms than the papers' rows of 0 and 1: as numpy saves them, numbers, names.

Which form it is has to be said: a column of class numbers is never taken for rows, nor the other
way round.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Final

import numpy as np

from hashbench.data.layouts.labels import LabelLists, Rows, Values, labelled
from hashbench.data.lists.image_paths import parse_path, quoted
from hashbench.data.lists.label_rows import check_columns, refuse_class_numbers
from hashbench.data.lists.listing import (
    ListedSplit,
    Listing,
    check_lengths,
    class_names,
    list_files,
    read_listing,
)
from hashbench.data.sources import MAX_LINES, read_list
from hashbench.errors import UsageError

STEMS: Final = ("train", "test", "database")

_LINE_END: Final = re.compile(rb"\r\n|\n|\r")
_BETWEEN: Final = re.compile(rb"[ \t,]+")
_SAVED: Final = re.compile(rb"([+-]?)([01])?(?:\.0*)?(?:[eE][+-]?0+)?")
_BLANKS: Final = b" \t"
_LONGEST: Final = 1 << 18
"""Most bytes of a line: numpy writes a label in 25."""


class ListLabels(StrEnum):
    """What the labels of lists are."""

    ONEHOT = "onehot"  # rows of 0 and 1, as the papers' lists
    SAVETXT = "savetxt"  # the same as numbers of any form: 1.000e+00, -1 and 1, with commas
    NUMBERS = "numbers"  # class numbers
    NAMES = "names"  # class names


def read_formed(root: Path, labels: ListLabels, strip: str | None) -> Listing:
    r"""Read the lists of a folder, whose labels are of this form.

    But for `onehot`, empty lines at a file's end count for nothing, and lines may end in `\r`
    alone. In lines of a path and labels, numbers and names are the last word, several of them with
    commas between; or all that follows a tab.

    Args:
        root: as for `read_listing`; for numbers and names its `classes.txt` gives the classes.
        labels: the form.
        strip: what paths begin with and is taken off.

    Raises:
        UsageError: a list is missing, or is not of this form; names the file and the line.
    """
    if labels is ListLabels.ONEHOT:
        return read_listing(root, strip)
    if labels is ListLabels.SAVETXT:
        train, query, database = (_saved(root, stem, strip) for stem in STEMS)
        names = class_names(root, train.labels.shape[1])
        return Listing(root, train, query, database, names)
    numbers = labels is ListLabels.NUMBERS
    found = labelled(
        root, {stem: _classes(root, stem, strip, numbers=numbers) for stem in STEMS}, None
    )
    train, query, database = (found.parts[stem] for stem in STEMS)
    return Listing(root, train, query, database, found.classes)


def _lines(path: Path) -> list[bytes]:
    """The lines of a file, without blanks around them, and without empty ones at its end."""
    content = read_list(path).rstrip(b" \t\r\n")
    if content.count(b"\r") > MAX_LINES:
        raise UsageError(f"{path}: more than {MAX_LINES:,} lines")
    if not content:
        raise UsageError(f"{path}: the file is empty")
    lines = [line.strip(_BLANKS) for line in _LINE_END.split(content)]
    for number, line in enumerate(lines, start=1):
        if len(line) > _LONGEST:
            raise UsageError(f"{path}, line {number}: it has more than {_LONGEST:,} bytes")
    return lines


def _saved(root: Path, stem: str, strip: str | None) -> ListedSplit:
    files = list_files(root, stem)
    if isinstance(files, Path):
        lines = [_parted(line) for line in _lines(files)]
        paths = _paths([path for path, _ in lines], files, strip)
        images, rows = files, _rows([words for _, words in lines], files)
    else:
        images, labels = files
        paths = _paths(_lines(images), images, strip)
        rows = _rows([_words(line) for line in _lines(labels)], labels)
        check_lengths(labels, len(rows), images, len(paths))
        files = labels
    made = np.frombuffer(b"".join(rows), np.uint8).reshape(len(rows), -1)
    refuse_class_numbers(made, files)
    return ListedSplit(images, paths, made)


def _classes(root: Path, stem: str, strip: str | None, *, numbers: bool) -> Rows:
    files = list_files(root, stem, onehot=False)
    lists = LabelLists(Values.CLASSES, rows="labels=savetxt")
    if isinstance(files, Path):
        lines = [_last_word(line) for line in _lines(files)]
        paths = _paths([path for path, _ in lines], files, strip)
        images, labels, texts = files, files, [text for _, text in lines]
    else:
        images, labels = files
        texts = _lines(labels)
        paths = _paths(_lines(images), images, strip)
        check_lengths(labels, len(texts), images, len(paths))
    rows = Rows(images)
    for line, (path, text) in enumerate(zip(paths, texts, strict=True), start=1):
        where = f"{labels}, line {line}"
        words = _numbers(text, where) if numbers else _names(text, where)
        if not words:
            raise UsageError(f"{where}: no label")
        rows.add(path, lists.read(words, where), line)
    return rows


def _paths(lines: Sequence[bytes], path: Path, strip: str | None) -> tuple[str, ...]:
    return tuple(parse_path(line, path, number, strip) for number, line in enumerate(lines, 1))


def _words(line: bytes) -> list[bytes]:
    return _BETWEEN.split(line.strip(b" \t,")) if line else []


def _parted(line: bytes) -> tuple[bytes, list[bytes]]:
    """A path and the numbers of a row at the line's end; the first word is the path's."""
    words = line.replace(b",", b" ").split()
    count = 0
    while count < len(words) - 1 and _value(words[-1 - count]) is not None:
        count += 1
    rest = line
    for word in reversed(words[len(words) - count :]):
        rest = rest.rstrip(b" \t,").removesuffix(word)
    return rest.rstrip(b" \t,"), words[len(words) - count :]


def _last_word(line: bytes) -> tuple[bytes, bytes]:
    """A path and what follows it: all behind the last tab, or the last word."""
    between = b"\t" if b"\t" in line else b" "
    path, found, text = line.rpartition(between)
    return (path.rstrip(_BLANKS), text) if found else (line, b"")


def _value(word: bytes) -> int | None:
    """The 0, 1 or -1 that a word means, in any way of writing it."""
    found = _SAVED.fullmatch(word)
    if found is None or found[2] is None:
        return None
    value = int(found[2])
    return -value if found[1] == b"-" else value


def _rows(rows: Sequence[Sequence[bytes]], path: Path) -> list[bytes]:
    """Rows of 0 and 1, or of -1 and 1, each as bytes of 0 and 1."""
    columns = len(rows[0])
    made, known = [], dict[bytes, int | None]()
    first: dict[int, int] = {}
    for number, words in enumerate(rows, start=1):
        where = f"{path}, line {number}"
        if not words or len(words) != columns:
            found = f"{len(words):,} label columns" if words else "no labels of 0, 1 or -1"
            more = f", but line 1 has {columns:,}" if columns else ""
            raise UsageError(f"{where}: {found}{more}; class numbers are read with labels=numbers")
        check_columns(columns, path)
        values = []
        for word in words:
            if word not in known:
                known[word] = _value(word)
            value = known[word]
            if value is None:
                raise UsageError(
                    f"{where}: labels must be 0 and 1, or -1 and 1, found "
                    f"{quoted(word[:80].decode('utf-8', 'replace'))}; class numbers are read with "
                    "labels=numbers"
                )
            first.setdefault(value, number)
            values.append(value)
        if 0 in first and -1 in first:
            other = -1 if first[-1] >= first[0] else 0
            raise UsageError(
                f"{path}, line {first[other]}: it holds {other}, but line {first[-1 - other]} "
                f"holds {-1 - other}: absent labels must be 0 everywhere, or -1 everywhere"
            )
        made.append(bytes(value == 1 for value in values))
        if len(known) > 1_000:  # zeros can be written in as many ways as one likes
            known.clear()
    return made


def _numbers(text: bytes, where: str) -> list[str]:
    """Class numbers, without a fraction."""
    found = []
    for word in _words(text):
        try:
            value = float(word) if len(word) <= 40 and b"_" not in word else None
        except ValueError:
            value = None
        if value is None or value != value // 1 or not 0 <= value < 1e15:
            raise UsageError(
                f"{where}: a class number is a whole number from 0 on, found "
                f"{quoted(word[:80].decode('utf-8', 'replace'))}; names are read with labels=names"
            )
        found.append(str(int(value)))
    return found


def _names(text: bytes, where: str) -> list[str]:
    try:
        names = text.decode().split(",")
    except UnicodeDecodeError:
        raise UsageError(f"{where}: not UTF-8") from None
    return [name.strip() for name in names]
