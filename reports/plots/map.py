"""Bars: mAP of every defense without and with each attack, its worst case, chance and floor."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
from hashbench.reports.plots.bounds import drawn, reach, spread_in_brackets
from hashbench.reports.plots.legend import Legend
from hashbench.reports.plots.looks import Look, attack_looks, clean_look, worst_look
from hashbench.reports.plots.style import LIGHT, Theme, folded, halo, named, new_figure
from hashbench.reports.text.sentences import metric, title, why_not_ranked

_BAR = 0.27  # inches: wide enough for a value of three digits above it
_SPACE = 0.75  # between two groups, in bars
_LETTER = 3.2  # the height of a number, in points of mAP


@dataclass(frozen=True)
class _Series:
    name: str
    look: Look
    entries: tuple[Entry, ...]


def map_figure(board: Leaderboard, theme: Theme = LIGHT) -> Figure:
    """One group of bars per defense, in the order of the leaderboard.

    A bar that lacks a seed is pale and says so; where nothing is there, a word stands in its place.
    Whiskers are the deviation over the seeds, or, of one seed, the interval over the queries.
    """
    part = drawn(board, bars=True)
    board = part.board
    series = _series(board, theme, whole=part.whole)
    groups = len(board.rows)
    step = len(series) + _SPACE
    width = max(5.0, 1.1 + _BAR * step * groups)
    labels = [_label(row, board, round(_BAR * step * 12)) for row in board.rows]
    entries = [entry for one in series for entry in one.entries]
    heading = title(board) + spread_in_brackets(board, entries, "whiskers")
    heading = folded(heading, round(width * 13))
    if part.note:
        heading += f"\n{folded(part.note, round(width * 13))}"
    legend = Legend(_handles(series, board, theme), width)
    lines = heading.count("\n") + max((label.count("\n") for label in labels), default=0)
    figure = new_figure(width, 3.35 + 0.14 * lines + legend.height)
    axes = figure.add_subplot()
    digits = digits_of(series)
    for place, one in enumerate(series):
        _bars(axes, one, [group * step + place for group in range(groups)], board.chance, digits)
        _say_all(axes, one, [group * step + place for group in range(groups)], theme)
    _bounds(axes, board, step, len(series), theme)
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
    for text in axes.texts:
        text.set(path_effects=halo(theme), zorder=5)
    legend.draw(figure)
    return figure


def digits_of(series: Sequence[_Series]) -> int:
    """Digits of the values: one where two of a model would else read alike and are not, or 0."""
    for group in zip(*(one.entries for one in series), strict=True):
        means = [100 * entry.mean for entry in group if entry.mean is not None]
        if len({f"{mean:.1f}" for mean in means}) > len({f"{mean:.0f}" for mean in means}):
            return 1
    return 0


def _lines(theme: Theme) -> dict[str, dict[str, Any]]:
    """How the bounds are drawn, by their names."""
    return {
        "chance": {"color": theme.muted, "linestyle": "--", "linewidth": 1.0},
        "floor": {"color": theme.ink, "linestyle": ":", "linewidth": 1.2},
    }


def _bounds(axes: Axes, board: Leaderboard, step: float, bars: int, theme: Theme) -> None:
    """Chance across all groups, and each model's floor across its own; seen on any bar."""
    style = _lines(theme)
    lines: list[tuple[float, float, float, dict[str, Any]]] = []
    if board.chance is not None:
        lines.append((-1.0, step * len(board.rows), board.chance, style["chance"]))
    for group, row in enumerate(board.rows):
        if row.floor.mean is not None:
            left = group * step - 0.5
            lines.append((left, left + bars, row.floor.mean, style["floor"]))
    for left, right, value, look in lines:
        for one in ({"color": theme.page, "linewidth": 2.2}, look):
            axes.plot([left, right], [100 * value] * 2, zorder=3, solid_capstyle="butt", **one)


def _series(board: Leaderboard, theme: Theme, *, whole: bool) -> list[_Series]:
    style = attack_looks(board.attacks, theme)
    clean = tuple(row.clean.expected for row in board.rows)
    series = [_Series("clean", clean_look(theme), clean)]
    for place, attack in enumerate(board.attacks):
        entries = tuple(row.attacked[place].expected for row in board.rows)
        series.append(_Series(named(attack), style[attack], entries))
    if board.can_rank:
        worst = tuple(row.worst_case for row in board.rows)
        name = "worst case" if whole else "worst case of shared attacks"
        series.append(_Series(name, worst_look(theme), worst))
    return series


_FACE: Final = {"linewidth": 0.0}
_EDGE: Final = {"linewidth": 0.7}


def _filling(look: Look) -> dict[str, Any]:
    """Face, hatch and edge of a bar: the hatch has the colour of the edge, drawn or not."""
    edge = look.edge or look.strokes
    width = _EDGE if look.edge else _FACE
    return {"facecolor": look.color, "edgecolor": edge, "hatch": look.hatch, **width}


def _bars(
    axes: Axes, series: _Series, places: Sequence[float], chance: float | None, digits: int
) -> None:
    filling = _filling(series.look)
    for place, entry in zip(places, series.entries, strict=True):
        if entry.mean is None:
            continue
        axes.bar(
            place,
            100 * entry.mean,
            width=0.86,
            alpha=1.0 if entry.complete else 0.4,
            **filling,
        )
        if entry.complete:
            axes.text(
                place,
                _above(entry, chance),
                f"{100 * entry.mean:.{digits}f}",
                ha="center",
                va="bottom",
                fontsize=6.5,
            )


def _say_all(axes: Axes, series: _Series, places: Sequence[float], theme: Theme) -> None:
    """Whiskers, and words in place of what is not there."""
    found = [
        (place, entry, reach(entry)) for place, entry in zip(places, series.entries, strict=True)
    ]
    whiskers = [
        (place, 100 * e.mean, ends) for place, e, ends in found if ends and e.mean is not None
    ]
    if whiskers:
        axes.errorbar(
            [place for place, _, _ in whiskers],
            [mean for _, mean, _ in whiskers],
            yerr=[
                [mean - 100 * low for _, mean, (low, _) in whiskers],
                [100 * high - mean for _, mean, (_, high) in whiskers],
            ],
            linestyle="none",
            elinewidth=0.8,
            capsize=1.8,
            ecolor=theme.ink,
            zorder=4,
        )
    for place, words, height in _gaps(found):
        axes.text(
            place,
            height,
            words,
            ha="center",
            va="bottom",
            rotation=90,
            fontsize=6.5,
            color=theme.problem,
        )


def _gaps(
    found: Sequence[tuple[float, Entry, tuple[float, float] | None]],
) -> Iterator[tuple[float, str, float]]:
    for place, entry, _ in found:
        if not entry.values:
            yield place, entry.status.words, 1.0
        elif not entry.complete:
            words = f"{len(entry.gaps)} of {entry.seeds} {entry.status.words}"
            yield place, words, _above(entry, None)


def _above(entry: Entry, chance: float | None) -> float:
    """Where a number stands: above the bar and its whisker, and not on the line of chance."""
    ends = reach(entry)
    top = 100 * (ends[1] if ends else entry.mean or 0.0) + 1.2
    if chance is not None and top - 1.2 < 100 * chance < top + _LETTER:
        return 100 * chance + 1.2
    return top


def _label(row: Row, board: Leaderboard, width: int) -> str:
    name = folded(named(row.defense), max(8, width))
    why = why_not_ranked(row, board)
    return f"{name}\n(not ranked: {why})" if why else name


def _handles(series: Sequence[_Series], board: Leaderboard, theme: Theme) -> list[Artist]:
    style = _lines(theme)
    handles: list[Artist] = [Patch(**_filling(one.look), label=one.name) for one in series]
    if board.chance is not None:
        handles.append(Line2D([], [], **style["chance"], label="chance"))
    if any(row.floor.values for row in board.rows):
        handles.append(Line2D([], [], **style["floor"], label="floor"))
    return handles
