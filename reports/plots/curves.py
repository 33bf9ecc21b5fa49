"""Curves: precision at levels of recall, one panel per defense, without and with each attack."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from hashbench.reports.board.leaderboard import Leaderboard
from hashbench.reports.board.over_seeds import Entry
from hashbench.reports.board.row import Curve, Row
from hashbench.reports.plots.bounds import drawn
from hashbench.reports.plots.legend import Legend
from hashbench.reports.plots.looks import Look, attack_looks, clean_look
from hashbench.reports.plots.panels import draw_grid, grid_for
from hashbench.reports.plots.style import LIGHT, Theme, folded, named, new_figure
from hashbench.reports.text.sentences import seeds_in_brackets, title, why_not_ranked
from hashbench.results.cell import CLEAN

_PANEL: Final = (2.35, 2.25)  # inches
_LINES: Final = 10  # of words about missing curves that a panel holds
_TICKS: Final = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
_WIDEST, _THINNEST = 3.4, 1.2  # points


@dataclass(frozen=True)
class _Line:
    """One series; where curves coincide, the wider one below is seen beside the thinner one."""

    attack: str
    name: str
    look: Look
    width: float
    place: int
    count: int

    def style(self) -> dict[str, Any]:
        return {
            "color": self.look.color,
            "linestyle": self.look.dash,
            "linewidth": self.width,
            "marker": self.look.marker,
            "markersize": 3.2,
            "label": self.name,
        }

    def marked(self, levels: int) -> tuple[int, int]:
        """The first level with a mark, and how many levels on the next one has: none is shared."""
        step = max(1, min(self.count, levels))
        return self.place % step, step


def curves_figure(board: Leaderboard, theme: Theme = LIGHT) -> Figure | None:
    """Clean solid, attacked dashed; several seeds by their mean. `None` where there is no curve."""
    part = drawn(board)
    board = part.board
    if not any(curves for row in board.rows for curves in row.curves.values()):
        return None
    lines = _lines(board, theme)
    chance: dict[str, Any] = {"color": theme.muted, "linestyle": ":", "linewidth": 1.0}
    handles: list[Artist] = [Line2D([], [], **line.style()) for line in lines]
    if board.chance is not None:
        handles.append(Line2D([], [], **chance, label="chance"))
    columns = min(3, len(board.rows))
    width = max(4.2, 0.6 + _PANEL[0] * columns)
    legend = Legend(handles, width, handle_length=5.0)
    grid = grid_for(len(board.rows), legend, _PANEL)
    heading = folded(title(board) + seeds_in_brackets(board, "mean"), round(width * 13))
    if part.note:
        heading += f"\n{folded(part.note, round(width * 13))}"
    deep = max(_heading(row, board).count("\n") for row in board.rows)
    height = (_PANEL[1] + 0.15 * deep) * len(grid.rows) + 0.15 * heading.count("\n") + 0.55
    figure = new_figure(width, height + (0 if grid.legend_inside else legend.height))
    for panel, row in zip(draw_grid(figure, grid, legend, "recall"), board.rows, strict=True):
        _panel(panel, row, lines, theme)
        panel.set_title(_heading(row, board), loc="left")
        if board.chance is not None:
            panel.axhline(board.chance, zorder=1.5, **chance)
    figure.supylabel("precision")
    figure.suptitle(heading, x=0.02, ha="left", fontsize=9)
    return figure


def _lines(board: Leaderboard, theme: Theme) -> list[_Line]:
    looks = {CLEAN: clean_look(theme), **attack_looks(board.attacks, theme)}
    fall = (_WIDEST - _THINNEST) / max(1, len(looks) - 1)
    return [
        _Line(
            attack=attack,
            name=_name(attack),
            look=look,
            width=_WIDEST - fall * place,
            place=place,
            count=len(looks),
        )
        for place, (attack, look) in enumerate(looks.items())
    ]


def _panel(axes: Axes, row: Row, lines: Sequence[_Line], theme: Theme) -> None:
    for line in lines:
        recall, precision = _mean(row.curves.get(line.attack, ()))
        axes.plot(recall, precision, markevery=line.marked(len(recall)), **line.style())
    if missing := _missing(row, {line.attack: line.look for line in lines}):
        axes.text(0.03, 0.97, missing, color=theme.problem, fontsize=6.5, va="top")
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    labels = [f"{tick:g}" for tick in _TICKS]
    axes.set_xticks(_TICKS, labels)
    axes.set_yticks(_TICKS, labels)


def _heading(row: Row, board: Leaderboard) -> str:
    why = why_not_ranked(row, board)
    return folded(named(row.defense), 28) + (f"\n(not ranked: {why})" if why else "")


def _missing(row: Row, style: Mapping[str, Look]) -> str:
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
    return "clean" if attack == CLEAN else named(attack)
