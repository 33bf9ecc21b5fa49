"""Bars: mAP of every defense without and with each attack, its worst case, chance and floor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from hashbench.reports.board.leaderboard import Leaderboard
from hashbench.reports.board.over_seeds import Entry
from hashbench.reports.board.row import Row
from hashbench.reports.plots.style import (
    CHANCE,
    CLEAN_LOOK,
    INK,
    PROBLEM,
    WORST_LOOK,
    Legend,
    Look,
    attack_looks,
    folded,
    halo,
    new_figure,
)
from hashbench.reports.text.sentences import (
    metric,
    one_line,
    seeds_in_brackets,
    title,
    why_not_ranked,
)

_BAR = 0.27  # inches: wide enough for a value of two digits above it
_SPACE = 0.75  # between two groups, in bars
_LETTER = 3.2  # the height of a number, in points of mAP
_CHANCE_LINE: Final[dict[str, Any]] = {"color": CHANCE, "linestyle": "--", "linewidth": 1.0}
_FLOOR_LINE: Final[dict[str, Any]] = {"color": INK, "linestyle": ":", "linewidth": 1.2}


@dataclass(frozen=True)
class _Series:
    name: str
    look: Look
    entries: tuple[Entry, ...]


def map_figure(board: Leaderboard) -> Figure:
    """One group of bars per defense, in the order of the leaderboard.

    A bar that lacks a seed is pale and says so; where nothing is there, a word stands in its place.
    """
    series = _series(board)
    groups = len(board.rows)
    step = len(series) + _SPACE
    width = max(5.0, 1.1 + _BAR * step * groups)
    labels = [_label(row, board, round(_BAR * step * 12)) for row in board.rows]
    heading = title(board) + seeds_in_brackets(board, "mean and standard deviation")
    heading = folded(heading, round(width * 13))
    legend = Legend(_handles(series, board), width)
    lines = heading.count("\n") + max(label.count("\n") for label in labels)
    figure = new_figure(width, 3.35 + 0.14 * lines + legend.height)
    axes = figure.add_subplot()
    for place, one in enumerate(series):
        _bars(axes, one, [group * step + place for group in range(groups)], board.chance)
    _bounds(axes, board, step, len(series))
    axes.set_xlim(-0.5 - _SPACE / 2, step * groups - 0.5 - _SPACE / 2)
    axes.set_xticks(
        [group * step + (len(series) - 1) / 2 for group in range(groups)],
        labels,
    )
    axes.tick_params(axis="x", length=0)
    axes.grid(visible=False, axis="x")
    axes.set_ylim(0, 100)
    axes.set_ylabel(f"{metric(board)}, %")
    axes.set_title(heading, loc="left", pad=8)
    legend.draw(figure)
    return figure


def _bounds(axes: Axes, board: Leaderboard, step: float, bars: int) -> None:
    """Chance across all groups, and each model's floor across its own; seen on any bar."""
    lines: list[tuple[float, float, float, dict[str, Any]]] = []
    if board.chance is not None:
        lines.append((-1.0, step * len(board.rows), board.chance, _CHANCE_LINE))
    for group, row in enumerate(board.rows):
        if row.floor.mean is not None:
            left = group * step - 0.5
            lines.append((left, left + bars, row.floor.mean, _FLOOR_LINE))
    for left, right, value, style in lines:
        for look in ({"color": "white", "linewidth": 2.2}, style):
            axes.plot([left, right], [100 * value] * 2, zorder=3, solid_capstyle="butt", **look)


def _series(board: Leaderboard) -> list[_Series]:
    style = attack_looks(board.attacks)
    series = [_Series("clean", CLEAN_LOOK, tuple(row.clean.expected for row in board.rows))]
    for place, attack in enumerate(board.attacks):
        entries = tuple(row.attacked[place].expected for row in board.rows)
        series.append(_Series(one_line(attack), style[attack], entries))
    if board.can_rank:
        worst = tuple(row.worst_case for row in board.rows)
        name = "worst case" if board.shared == board.attacks else "worst case of shared attacks"
        series.append(_Series(name, WORST_LOOK, worst))
    return series


def _bars(axes: Axes, series: _Series, places: Sequence[float], chance: float | None) -> None:
    look = series.look
    for place, entry in zip(places, series.entries, strict=True):
        mean, std = entry.mean, entry.std
        if mean is None:
            _say(axes, place, 1.0, entry.status.words)
            continue
        axes.bar(
            place,
            100 * mean,
            width=0.86,
            color=look.color,
            edgecolor=INK if look is WORST_LOOK else "white",
            linewidth=0.7 if look is WORST_LOOK else 0.0,
            hatch=look.hatch,
            alpha=1.0 if entry.complete else 0.4,
            yerr=None if std is None else 100 * std,
            error_kw={"elinewidth": 0.8, "capsize": 1.8, "ecolor": INK, "alpha": 1.0, "zorder": 4},
        )
        top = 100 * (mean + (std or 0.0)) + 1.2
        if chance is not None and top - 1.2 < 100 * chance < top + _LETTER:
            top = 100 * chance + 1.2  # a number that the line would run through stands on it
        if not entry.complete:
            _say(axes, place, top, f"{len(entry.gaps)} of {entry.seeds} {entry.status.words}")
            continue
        number = axes.text(place, top, f"{100 * mean:.0f}", ha="center", va="bottom", fontsize=6.5)
        number.set(path_effects=halo(), zorder=5)


def _say(axes: Axes, x: float, y: float, words: str) -> None:
    text = axes.text(x, y, words, ha="center", va="bottom", rotation=90, fontsize=6.5)
    text.set(color=PROBLEM, path_effects=halo(), zorder=5)


def _label(row: Row, board: Leaderboard, width: int) -> str:
    name = folded(row.defense, max(8, width))
    why = why_not_ranked(row, board)
    return f"{name}\n(not ranked: {why})" if why else name


def _handles(series: Sequence[_Series], board: Leaderboard) -> list[Artist]:
    handles: list[Artist] = [
        Patch(
            facecolor=one.look.color,
            edgecolor=INK if one.look is WORST_LOOK else "white",
            linewidth=0.7 if one.look is WORST_LOOK else 0.0,
            hatch=one.look.hatch,
            label=one.name,
        )
        for one in series
    ]
    if board.chance is not None:
        handles.append(Line2D([], [], **_CHANCE_LINE, label="chance"))
    if any(row.floor.values for row in board.rows):
        handles.append(Line2D([], [], **_FLOOR_LINE, label="floor"))
    return handles
