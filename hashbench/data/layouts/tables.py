"""CSV files as a stream of rows: delimiters, quotes, byte order marks, bounds."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import Final

from hashbench.characters import shortened, shown
from hashbench.data.layouts.columns import PATH_COLUMNS
from hashbench.data.layouts.roles import AUTO
from hashbench.data.sources import MAX_LINES, MAX_LIST, told
from hashbench.errors import UsageError
from hashbench.files import read_bytes, without_mark

_LONGEST: Final = 1 << 18
"""Most characters of a line: two thousand columns of names."""

_MOST_COLUMNS: Final = 5_000


class Delimiter(StrEnum):
    """What stands between two cells."""

    AUTO = "auto"  # what parts the header so that there is the column of paths
    COMMA = "comma"
    SEMICOLON = "semicolon"
    TAB = "tab"
    PIPE = "pipe"
    SPACE = "space"

    @property
    def character(self) -> str:
        """The character itself; a comma for `auto`."""
        return _CHARACTERS.get(self, ",")


_CHARACTERS: Final = {
    Delimiter.COMMA: ",",
    Delimiter.SEMICOLON: ";",
    Delimiter.TAB: "\t",
    Delimiter.PIPE: "|",
    Delimiter.SPACE: " ",
}


@dataclass(frozen=True)
class Table:
    """A CSV file, of which the header is read.

    Attributes:
        file: where it lies.
        columns: their names; numbers from 1 where there is no header.
        content: its bytes.
        delimiter: one character.
        header: whether the first row is one.
    """

    file: Path
    columns: tuple[str, ...]
    content: bytes
    delimiter: str
    header: bool

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """The rows below the header, without empty ones: the line where each begins, and its cells.

        Raises:
            UsageError: a row has another number of cells, a quote is not closed, it is not UTF-8,
                or there are too many rows.
        """
        count = 0
        for line, cells in _rows(self.content, self.file, self.delimiter):
            if self.header and count == 0:
                count = 1
                continue
            count += 1
            if count > MAX_LINES:
                raise UsageError(f"{self.file}: more than {MAX_LINES:,} rows")
            if len(cells) != len(self.columns):
                raise UsageError(
                    f"{self.file}, line {line}: {len(cells):,} cells, but there are "
                    f"{len(self.columns):,} columns; a cell that holds the delimiter "
                    f"({_word(self.delimiter)}) must stand in double quotes"
                )
            yield line, cells


def open_table(path: Path, delimiter: Delimiter, wanted: str, *, header: bool) -> Table:
    """Read a CSV file and its header.

    Args:
        path: the file, UTF-8, with or without a byte order mark.
        delimiter: between cells.
        wanted: the column of paths, or `auto` for one of a usual name; tells the delimiter.
        header: whether the first row names the columns.

    Raises:
        UsageError: it cannot be read, is empty, or two columns bear one name.
    """
    with told(path):
        content = without_mark(read_bytes(path, MAX_LIST))
    between = delimiter.character
    if delimiter is Delimiter.AUTO:
        between = "\t" if path.suffix.lower() == ".tsv" else _guessed(content, path, wanted, header)
    first = next(_rows(content, path, between), None)
    if first is None:
        raise UsageError(f"{path}: the file is empty")
    if len(first[1]) > _MOST_COLUMNS:
        raise UsageError(f"{path}: {len(first[1]):,} columns, expected at most {_MOST_COLUMNS:,}")
    if not header:
        return Table(path, tuple(str(n + 1) for n in range(len(first[1]))), content, between, False)
    names = tuple(first[1])
    twice = next((name for name in names if name and names.count(name) > 1), None)
    if twice is not None:
        raise UsageError(f"{path}: two columns are named '{shown(shortened(twice))}'")
    return Table(path, names, content, between, True)


def _guessed(content: bytes, path: Path, wanted: str, header: bool) -> str:
    """The delimiter with which the header has the column of paths; otherwise a comma."""
    if not header:
        return ","
    for one in (Delimiter.COMMA, Delimiter.SEMICOLON, Delimiter.TAB, Delimiter.PIPE):
        try:
            first = next(_rows(content, path, one.character), None)
        except UsageError:  # a quote that ends before this delimiter: it is another one
            continue
        names = first[1] if first is not None else []
        found = (
            wanted in names
            if wanted != AUTO
            else any(name.casefold() in PATH_COLUMNS for name in names)
        )
        if found and len(names) > 1:
            return one.character
    return ","


def _rows(content: bytes, path: Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(
        _lines(content, path), delimiter=delimiter, skipinitialspace=True, strict=True
    )
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise UsageError(
                f"{path}, line {line}: it is no row of a table ({error}); quotes are double ones, "
                "and doubled inside of a cell"
            ) from None
        if cells:
            yield line, [cell.strip() for cell in cells]


def _lines(content: bytes, path: Path) -> Iterator[str]:
    text = TextIOWrapper(BytesIO(content), encoding="utf-8", newline="")
    number = 0
    while True:
        number += 1
        try:
            line = text.readline(_LONGEST)
        except UnicodeDecodeError as error:
            raise UsageError(
                f"{path}: it is not in UTF-8 (near line {number}: {error.reason})"
            ) from None
        if not line:
            return
        if len(line) == _LONGEST:
            raise UsageError(f"{path}, line {number}: it has more than {_LONGEST:,} characters")
        yield line


def _word(delimiter: str) -> str:
    return next(str(one) for one, sign in _CHARACTERS.items() if sign == delimiter)
