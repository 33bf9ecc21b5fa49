"""Curves: precision at levels of recall, one panel per defense, without and with each attack."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from hashbench.reports.board.leaderboard import Leaderboard
from hashbench.reports.board.over_seeds import Entry
from hashbench.reports.board.row import Curve, Row
from hashbench.reports.plots.style import (
    CLEAN_LOOK,
    PROBLEM,
    Legend,
    Look,
    attack_looks,
    finish_grid,
    folded,
    grid_of,
    new_figure,
)
from hashbench.reports.text.sentences import one_line, seeds_in_brackets, title, why_not_ranked
from hashbench.results.cell import CLEAN

_PANEL = (2.35, 2.25)  # inches
_LINE = 1.5
_LINES = 10  # of words about missing curves that a panel holds


def curves_figure(board: Leaderboard) -> Figure | None:
    """Clean solid, attacked dashed; several seeds by their mean. `None` where there is no curve."""
    if not any(curves for row in board.rows for curves in row.curves.values()):
        return None
    style = {CLEAN: CLEAN_LOOK, **attack_looks(board.attacks)}
    rows, columns = grid_of(len(board.rows))
    width = max(4.2, 0.5 + _PANEL[0] * columns)
    heading = folded(title(board) + seeds_in_brackets(board, "mean"), round(width * 13))
    handles = [
        Line2D([], [], color=look.color, linestyle=look.dash, linewidth=_LINE, label=_name(attack))
        for attack, look in style.items()
    ]
    legend = Legend(handles, width, handle_length=3.0)
    lines = max(_heading(row, board).count("\n") for row in board.rows)
    height = (_PANEL[1] + 0.15 * lines) * rows + 0.15 * heading.count("\n") + 0.55
    figure = new_figure(width, height + legend.height)
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    panels: list[Axes] = list(grid.flat)
    for panel, row in zip(panels, board.rows, strict=False):
        _panel(panel, row, board, style)
    finish_grid(panels, len(board.rows), columns, "recall")
    for panel in grid[:, 0]:
        panel.set_ylabel("precision")
    figure.suptitle(heading, x=0.02, ha="left", fontsize=9)
    legend.draw(figure)
    return figure


def _panel(axes: Axes, row: Row, board: Leaderboard, style: dict[str, Look]) -> None:
    for attack, look in style.items():
        recall, precision = _mean(row.curves.get(attack, ()))
        axes.plot(recall, precision, color=look.color, linestyle=look.dash, linewidth=_LINE)
    if missing := _missing(row, style):
        axes.text(0.03, 0.97, missing, color=PROBLEM, fontsize=6.5, va="top")
    axes.set_title(_heading(row, board), loc="left")
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", ".25", ".5", ".75", "1"])


def _heading(row: Row, board: Leaderboard) -> str:
    why = why_not_ranked(row, board)
    return folded(row.defense, 28) + (f"\n(not ranked: {why})" if why else "")


def _missing(row: Row, style: dict[str, Look]) -> str:
    """Which curves are not there or lack a seed, in a few lines."""
    entries = (row.clean.expected, *(score.expected for score in row.attacked))
    told: dict[str, list[str]] = {}
    for attack, entry in zip(style, entries, strict=True):
        if not entry.complete:
            told.setdefault(_state(entry), []).append(_name(attack))
    lines: list[str] = []
    for state, names in told.items():
        what = "all" if len(names) == len(style) else ", ".join(names)
        lines += folded(f"{state}: {what}", 38).splitlines()
    return "\n".join(lines if len(lines) <= _LINES else [*lines[: _LINES - 1], "and others"])


def _mean(curves: Sequence[Curve]) -> tuple[Sequence[float], Sequence[float]]:
    """The mean curve of the seeds; all seeds of one protocol share their levels of recall."""
    if not curves:
        return (), ()
    recall = curves[0].recall
    alike = [curve.precision for curve in curves if curve.recall == recall]
    return recall, [statistics.fmean(values) for values in zip(*alike, strict=True)]


def _state(entry: Entry) -> str:
    if not entry.values:
        return entry.status.words
    return f"{len(entry.gaps)} of {entry.seeds} {entry.status.words}"


def _name(attack: str) -> str:
    return "clean" if attack == CLEAN else one_line(attack)
