"""A sheet laid out in columns of characters: in one table, or in several, of a width. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.cells import cell_len

from hashbench.reports.text.lines import broken, pieces
from hashbench.reports.text.sheet import Field, Sheet, Tone

WHOLE = (1_000, 14)
"""Columns that the name of a row, and the head of a column, may take before they are broken: on a
terminal that is wide enough ..."""

ROOMY = (24, 14)
"""... in a file, and where a table would not fit otherwise ..."""

SCARCE = (15, 9)
"""... and where it would still not fit."""

CUT = (24, 20)
"""... and where it is cut into several tables, so that there is room again."""

WIDEST_NAME = 16
"""The widest part of a column's head, such as a plugin's name, that is kept whole in any layout."""

GAP = 2
"""Blanks between two columns."""


@dataclass(frozen=True)
class Column:
    """A column that is laid out.

    Attributes:
        head: its lines.
        fields: the lines of each field, and its tone.
        right: whether it holds numbers, which stand at its right side.
    """

    head: tuple[str, ...]
    fields: tuple[tuple[tuple[str, ...], Tone], ...]
    right: bool

    @property
    def width(self) -> int:
        """That of its longest line, in characters."""
        lines = [*self.head, *(line for lines, _ in self.fields for line in lines)]
        return max(cell_len(line) for line in lines)


def tables(sheet: Sheet, width: int | None) -> Iterator[list[Column]]:
    """The columns of the tables that show a sheet: one where a layout fits, else several.

    Args:
        sheet: with at least one row.
        width: that no table is wider than, in characters; `None` for as wide as it takes.
    """
    if width is None:
        names, heads = ROOMY
        yield _columns(sheet, stacked=False, name_width=names, head_width=heads)
        return
    for columns in (*_layouts(sheet, stacked=False), *_layouts(sheet, stacked=True)):
        if _width(columns) <= width:
            yield columns
            return
    # Half of the width for the names at most: the other half holds a column whatever comes. The
    # first name is a rank or a code length where there are several.
    names, heads = (min(most, width // 2 - 4) for most in CUT)
    names //= max(1, sheet.names - 1)
    columns = _columns(sheet, stacked=True, name_width=names, head_width=heads)
    yield from _chunks(columns, sheet.names, width)


def fits(sheet: Sheet, width: int | None) -> bool:
    """Whether a sheet can be drawn in one table, with every row of it on one line."""
    layouts = _layouts(sheet, stacked=False)
    return width is None or any(
        _width(columns) <= width and not _is_tall(columns) for columns in layouts
    )


def is_stacked(columns: Sequence[Column]) -> bool:
    """Whether numbers stand under each other in a row, so that a blank line has to part rows."""
    return _is_tall([column for column in columns if column.right])


def _layouts(sheet: Sheet, *, stacked: bool) -> list[list[Column]]:
    return [
        _columns(sheet, stacked=stacked, name_width=name_width, head_width=head_width)
        for name_width, head_width in (WHOLE, ROOMY, SCARCE)
    ]


def _columns(sheet: Sheet, *, stacked: bool, name_width: int, head_width: int) -> list[Column]:
    def lines(field: Field, is_name: bool) -> tuple[str, ...]:
        if is_name:
            return tuple(broken(field.parts[0], name_width))
        return field.parts if stacked else (" ".join(field.parts),)

    columns = []
    for place, title in enumerate(sheet.header):
        is_name = place < sheet.names
        fields = [row[place] for row in sheet.rows]
        columns.append(
            Column(
                head=(title,) if sheet.whole_heads else _head(title, head_width),
                fields=tuple((lines(field, is_name), field.tone) for field in fields),
                right=not is_name,
            )
        )
    return columns


def _head(title: str, width: int) -> tuple[str, ...]:
    """A title in lines of a width; somewhat wider, rather than broken within a plugin's name."""
    longest = max(map(cell_len, pieces(title)))
    return tuple(broken(title, max(width, min(longest, WIDEST_NAME))))


def _width(columns: Sequence[Column]) -> int:
    return sum(column.width for column in columns) + GAP * (len(columns) - 1)


def _chunks(columns: list[Column], names: int, width: int) -> Iterator[list[Column]]:
    """Cut a table that is too wide; the names of the rows are repeated in every part."""
    head = columns[:names]
    chunk: list[Column] = []
    for column in columns[names:]:
        if chunk and _width([*head, *chunk, column]) > width:
            yield [*head, *chunk]
            chunk = []
        chunk.append(column)
    yield [*head, *chunk]


def _is_tall(columns: Sequence[Column]) -> bool:
    """Whether a row takes several lines."""
    return any(len(lines) > 1 for column in columns for lines, _ in column.fields)
