"""Points: robust mAP against clean mAP, and against what the training took; one per defense."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from hashbench.reports.board.leaderboard import Leaderboard
from hashbench.reports.board.over_seeds import Entry
from hashbench.reports.board.passes import training_passes
from hashbench.reports.board.row import Row
from hashbench.reports.plots.bounds import reach, sentence, spread_in_brackets
from hashbench.reports.plots.labels import Named, write_names
from hashbench.reports.plots.legend import Legend
from hashbench.reports.plots.looks import Look, defense_looks
from hashbench.reports.plots.panels import spread
from hashbench.reports.plots.style import LIGHT, Theme, folded, named, new_figure, settled
from hashbench.reports.text.sentences import metric, title

MOST_POINTS: Final = 24
_MARK: Final = 6.5  # points
_SIZE: Final = (5.6, 3.7)  # inches, without legend and heading


@dataclass(frozen=True)
class _Point:
    row: Row
    x: float
    y: float
    across: Entry | None


def clean_robust_figure(board: Leaderboard, theme: Theme = LIGHT) -> Figure | None:
    """Worst case against clean mAP, both in percent; `None` where no model has both.

    Lines are chance on either axis, and where an attack would cost nothing.
    """
    points = [
        _Point(row, 100 * clean, 100 * worst, row.clean.expected)
        for row in board.rows
        if (clean := row.clean.expected.mean) is not None
        and (worst := row.worst_case.mean) is not None
    ]
    if not points or not board.can_rank:
        return None
    chance = board.chance

    def around(axes: Axes) -> list[Artist]:
        low, high = _whole([point.x for point in points], chance)
        axes.set_xlim(low, high)
        axes.set_ylim(0, _whole([point.y for point in points], chance)[1])
        free: dict[str, Any] = {"color": theme.edge, "linestyle": ":", "linewidth": 1.0}
        axes.plot([0, 100], [0, 100], zorder=1, **free)
        handles: list[Artist] = [Line2D([], [], **free, label="no loss under attack")]
        if chance is not None:
            axes.axvline(100 * chance, zorder=1, **_chance(theme))
        return handles

    return _scatter(board, points, theme, around, f"clean {metric(board)}, %", [])


def training_figure(board: Leaderboard, theme: Theme = LIGHT) -> Figure | None:
    """Worst case against training passes over the train set; `None` where fewer than two are known.

    A model whose training is not recorded is left out, and named.
    """
    points, unknown = [], []
    for row in board.rows:
        worst = row.worst_case.mean
        if worst is None:
            continue
        passes = training_passes(row.defense, board.training)
        if passes is None:
            unknown.append(row.defense)
        else:
            points.append(_Point(row, float(passes), 100 * worst, None))
    if len(points) < 2 or not board.can_rank:
        return None
    chance = board.chance

    def around(axes: Axes) -> list[Artist]:
        axes.set_xlim(0, spread([0.0, *(point.x for point in points)])[1])
        axes.set_ylim(0, _whole([point.y for point in points], chance)[1])
        return []

    label = "training: passes over the train set (base, then defense with its inner steps)"
    left = [f"not recorded, left out: {', '.join(map(named, unknown[:6]))}"] if unknown else []
    if len(unknown) > 6:
        left[0] += f" and {len(unknown) - 6} more"
    return _scatter(board, points, theme, around, label, left)


def _scatter(
    board: Leaderboard,
    points: Sequence[_Point],
    theme: Theme,
    around: Any,
    label: str,
    notes: Sequence[str],
) -> Figure:
    many = len(points)
    points = points[:MOST_POINTS]
    style = defense_looks([point.row.defense for point in points], theme)
    entries = [point.row.worst_case for point in points]
    heading = folded(title(board) + spread_in_brackets(board, entries, "whiskers"), 74)
    cut = f"the first {MOST_POINTS} of {many} models" if many > MOST_POINTS else ""
    for note in (sentence([cut]), *notes):
        heading += f"\n{folded(note, 74)}" if note else ""
    handles: list[Artist] = [
        Line2D([], [], linestyle="none", label=_label(point), **_mark(point, style, theme))
        for point in points
    ]
    if board.chance is not None:
        handles.append(Line2D([], [], **_chance(theme), label="chance"))
    figure = new_figure(*_SIZE)
    axes = figure.add_subplot()
    handles += around(axes)
    legend = Legend(handles, _SIZE[0])
    figure.set_size_inches(
        _SIZE[0], _SIZE[1] + legend.height + 0.15 * heading.count("\n"), forward=False
    )
    for point in points:
        _whiskers(axes, point, style[point.row.defense])
        axes.plot(point.x, point.y, linestyle="none", **_mark(point, style, theme))
    if board.chance is not None:
        axes.axhline(100 * board.chance, zorder=1, **_chance(theme))
    axes.set_xlabel(label)
    axes.set_ylabel(f"worst-case {metric(board)}, %")
    axes.set_title(heading, loc="left", pad=8)
    legend.draw(figure)
    settled(figure)
    write_names(figure, axes, [Named(p.x, p.y, p.row.defense) for p in points], theme)
    return figure


def _label(point: _Point) -> str:
    incomplete = not (point.row.worst_case.complete and point.row.clean.expected.complete)
    flagged = f" ({point.row.codes[0]})" if point.row.codes else ""
    return named(point.row.defense) + flagged + (" (lacks a seed)" if incomplete else "")


def _mark(point: _Point, style: dict[str, Look], theme: Theme) -> dict[str, Any]:
    """A hollow mark is of a model that is not ranked."""
    look = style[point.row.defense]
    face = look.color if point.row.rank is not None else theme.page
    return {
        "marker": look.marker,
        "markersize": _MARK,
        "color": look.color,
        "markerfacecolor": face,
        "zorder": 3,
    }


def _whiskers(axes: Axes, point: _Point, look: Look) -> None:
    up = reach(point.row.worst_case)
    across = None if point.across is None else reach(point.across)
    axes.errorbar(
        point.x,
        point.y,
        yerr=None if up is None else _around(point.y, up),
        xerr=None if across is None else _around(point.x, across),
        linestyle="none",
        color=look.color,
        elinewidth=0.8,
        capsize=1.8,
        zorder=2,
    )


def _around(middle: float, ends: tuple[float, float]) -> list[list[float]]:
    """A whisker as matplotlib takes it: how far it goes down and up, in percent."""
    return [[middle - 100 * ends[0]], [100 * ends[1] - middle]]


def _chance(theme: Theme) -> dict[str, Any]:
    return {"color": theme.muted, "linestyle": "--", "linewidth": 1.0}


def _whole(values: Sequence[float], chance: float | None) -> tuple[float, float]:
    """Bounds in percent around the values and chance: never more than 0 to 100."""
    low, high = spread([*values, *([] if chance is None else [100 * chance])], 0.12)
    return max(0.0, low), min(100.0, high)
