"""Results in a few lines: what a console and a notebook show of them. Pure."""

from __future__ import annotations

import html
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from hashbench.characters import counted, shortened, shown
from hashbench.results.asked import Asked, last_of_each
from hashbench.results.cell import CellResult, Status
from hashbench.results.wide import WideRow

MOST_ROWS: Final = 8
"""Models that a summary shows; of more it says how many."""

MOST_TABLES: Final = 3
"""Tables that they may be of."""


def headline(cells: Sequence[CellResult], asked: Sequence[Asked]) -> str:
    """What the results are of: how many cells, what became of them, where they lie."""
    counts = Counter(result.status for result in cells)
    words = [counted(len(cells), "cell")]
    words += [
        f"{counts[status]:,} {status.words}"
        for status in (Status.FAILED, Status.MISSING)
        if counts[status]
    ]
    last = last_of_each(asked)
    suites = ", ".join(dict.fromkeys(run.suite for run in last if run.suite))
    folders = ", ".join(run.folder for run in last if run.folder)
    said = ", ".join(words)
    said += f"; suite {suites}" if suites else ""
    said += f"; folder {folders}" if folders else ""
    return _short(f"Results: {said}", 200)


def as_text(head: str, rows: Sequence[WideRow]) -> str:
    """The head, and the best models of the first tables, in plain text."""
    lines = [head]
    for title, several in _tables(rows):
        lines.append(f"  {title}")
        width = max(len(cells[0]) for cells in several)
        lines += [f"    {cells[0]:<{width}}  {'  '.join(cells[1:])}".rstrip() for cells in several]
    return "\n".join([*lines, *(f"  {line}" for line in _rest(rows))])


def as_html(head: str, rows: Sequence[WideRow]) -> str:
    """The same for a notebook; every text is escaped."""
    parts = [f"<p>{html.escape(head)}</p>"]
    for title, several in _tables(rows):
        body = "".join(
            "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in cells) + "</tr>"
            for cells in several
        )
        parts.append(f"<p>{html.escape(title)}</p><table>{body}</table>")
    parts += [f"<p>{html.escape(line)}</p>" for line in _rest(rows)]
    return "".join(parts)


def _tables(rows: Sequence[WideRow]) -> Iterator[tuple[str, list[list[str]]]]:
    """The first rows by their tables, each with its title and cells."""
    groups: dict[object, list[WideRow]] = {}
    for row in rows[:MOST_ROWS]:
        groups.setdefault(replace(row.cell, defense="", seed=0), []).append(row)
    for several in list(groups.values())[:MOST_TABLES]:
        cell = several[0].cell
        names = f"{cell.dataset}, {cell.loss}, {cell.backbone}"
        title = f"{_short(names, 100)}, {cell.bits} bits, eps {cell.eps} (mAP in percent)"
        yield _short(title, 160), [_cells(row) for row in several]


def _cells(row: WideRow) -> list[str]:
    flags = f"! {', '.join(row.flags)}" if row.flags else ""
    return [
        _short(row.cell.defense, 40),
        f"clean {_number(row.clean)}",
        f"worst case {_number(row.worst_case)}",
        *([] if row.certified is None else [f"certified {_number(row.certified)}"]),
        f"of {counted(len(row.attacked), 'attack')}",
        _short(flags, 80),
    ]


def _rest(rows: Sequence[WideRow]) -> Iterator[str]:
    hidden = len(rows) - sum(len(several) for _, several in _tables(rows))
    if hidden:
        yield f"and {counted(hidden, 'more model')}"
    if rows:
        yield "All of it: .leaderboard(), .to_frame(); a picture: .plot()"


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.1f}"


def _short(text: str, length: int) -> str:
    return shown(shortened(text, length))
