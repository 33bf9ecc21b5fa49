"""Lines: mAP against the radius; the worst case where there can be one, then a panel per attack."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from hashbench.reports.board.leaderboard import Leaderboard
from hashbench.reports.board.over_seeds import Entry
from hashbench.reports.board.row import Row
from hashbench.reports.plots.bounds import (
    MOST_MODELS,
    first_models,
    kept_attacks,
    reach,
    sentence,
    spread_in_brackets,
    strongest_attacks,
)
from hashbench.reports.plots.legend import Legend
from hashbench.reports.plots.looks import Look, defense_looks
from hashbench.reports.plots.panels import draw_grid, grid_for, radius_label, radius_ticks
from hashbench.reports.plots.style import LIGHT, Theme, folded, named, new_figure
from hashbench.reports.text.sentences import metric, title

_PANEL: Final = (2.35, 2.25)  # inches
_MARK: Final = 4  # points

Read = Callable[[Leaderboard, Row], Entry | None]
Found = Mapping[tuple[int, str], Row]
"""Rows by the place of their table and the defense."""


@dataclass(frozen=True)
class _Point:
    """One number of a line; `entry` is `None` where its table has no such column."""

    radius: float
    entry: Entry | None

    @property
    def percent(self) -> float:
        """Its mean, NaN where there is none."""
        mean = None if self.entry is None else self.entry.mean
        return math.nan if mean is None else 100 * mean


def eps_figure(boards: Sequence[Leaderboard], theme: Theme = LIGHT) -> Figure | None:
    """All radii of one group; the clean value stands at 0.

    A hollow mark lacks a seed; a value that is missing altogether interrupts its line. Several
    seeds have whiskers, their deviation; the interval of one seed is a band.

    Args:
        boards: they differ in eps alone, sorted by it; all of one norm.
        theme: of the page.
    """
    if len(boards) < 2:
        return None
    everywhere = sorted({row.defense for board in boards for row in board.rows})
    defenses = _kept(boards, everywhere)
    style = defense_looks(defenses, theme)
    attacks = kept_attacks(boards)
    several = len({attack for board in boards for attack in board.attacks})
    panels = _panels(boards)
    if not panels:
        return None
    found = {(place, row.defense): row for place, board in enumerate(boards) for row in board.rows}
    lines = {
        (name, defense): _points(boards, found, defense, read)
        for name, read in panels
        for defense in defenses
    }
    entries = [point.entry for points in lines.values() for point in points if point.entry]
    width = max(4.4, 0.6 + _PANEL[0] * min(3, len(panels)))
    legend = Legend(_handles(boards, style, theme), width, handle_length=3.5)
    grid = grid_for(len(panels), legend, _PANEL)
    heading = title(boards[0]).rpartition(", eps ")[0]
    heading += spread_in_brackets(boards[0], entries, "bands")
    heading = folded(heading, round(width * 13))
    note = sentence([first_models(len(everywhere)), strongest_attacks(len(attacks), several)])
    if note:
        heading += f"\n{folded(note, round(width * 13))}"
    deep = max(folded(named(name), 28).count("\n") for name, _ in panels)
    height = (_PANEL[1] + 0.15 * deep) * len(grid.rows) + 0.15 * heading.count("\n") + 0.75
    figure = new_figure(width, height + (0 if grid.legend_inside else legend.height))
    drawn = draw_grid(figure, grid, legend, radius_label(boards[0].group.radius.norm))
    for axes, (name, _) in zip(drawn, panels, strict=True):
        for defense in defenses:
            _line(axes, lines[name, defense], style[defense], theme)
        _frame(axes, boards, name, theme)
    figure.supylabel(f"{metric(boards[0])}, %")
    figure.suptitle(heading, x=0.02, ha="left", fontsize=9)
    return figure


def _kept(boards: Sequence[Leaderboard], everywhere: Sequence[str]) -> list[str]:
    """The first models of the table with the largest radius, then of the others; by name."""
    order = dict.fromkeys(row.defense for board in reversed(boards) for row in board.rows)
    kept = set(list(order)[:MOST_MODELS])
    return [defense for defense in everywhere if defense in kept]


def _panels(boards: Sequence[Leaderboard]) -> list[tuple[str, Read]]:
    panels: list[tuple[str, Read]] = []
    # Worst cases over different attacks do not belong on one line.
    if any(board.can_rank for board in boards) and len({board.shared for board in boards}) == 1:
        panels.append(("worst case", lambda _, row: row.worst_case))
    return [*panels, *((attack, _reader(attack)) for attack in kept_attacks(boards))]


def _reader(attack: str) -> Read:
    def read(board: Leaderboard, row: Row) -> Entry | None:
        if attack not in board.attacks:
            return None
        return row.attacked[board.attacks.index(attack)].expected

    return read


def _points(
    boards: Sequence[Leaderboard], found: Found, defense: str, read: Read
) -> tuple[_Point, ...]:
    points: list[_Point] = []
    for place, board in enumerate(boards):
        row = found.get((place, defense))
        if row is None:
            continue
        if not points:
            points.append(_Point(0.0, row.clean.expected))
        points.append(_Point(float(board.group.radius), read(board, row)))
    return tuple(points)


def _line(axes: Axes, points: Sequence[_Point], look: Look, theme: Theme) -> None:
    axes.plot(
        [point.radius for point in points],
        [point.percent for point in points],
        color=look.color,
        linestyle=look.dash,
        linewidth=1.4,
    )
    _spread(axes, points, look)
    for whole in (True, False):
        chosen = [
            point
            for point in points
            if point.entry is not None and point.entry.values and point.entry.complete is whole
        ]
        axes.plot(
            [point.radius for point in chosen],
            [point.percent for point in chosen],
            linestyle="none",
            marker=look.marker,
            markersize=_MARK,
            color=look.color,
            markerfacecolor=look.color if whole else theme.page,
        )


def _spread(axes: Axes, points: Sequence[_Point], look: Look) -> None:
    """Whiskers over seeds, or the band of one seed's intervals."""
    ends = [
        (point, low, high)
        for point in points
        if point.entry is not None and (found := reach(point.entry)) is not None
        for low, high in [found]
    ]
    if not ends:
        return
    if any(point.entry is not None and point.entry.std is not None for point, _, _ in ends):
        axes.errorbar(
            [point.radius for point, _, _ in ends],
            [point.percent for point, _, _ in ends],
            yerr=[
                [point.percent - 100 * low for point, low, _ in ends],
                [100 * high - point.percent for point, _, high in ends],
            ],
            linestyle="none",
            color=look.color,
            elinewidth=0.8,
            capsize=1.8,
        )
        return
    axes.fill_between(
        [point.radius for point, _, _ in ends],
        [100 * low for _, low, _ in ends],
        [100 * high for _, _, high in ends],
        color=look.color,
        alpha=0.22,
        linewidth=0,
    )


def _frame(axes: Axes, boards: Sequence[Leaderboard], name: str, theme: Theme) -> None:
    chance = next((board.chance for board in boards if board.chance is not None), None)
    if chance is not None:
        axes.axhline(100 * chance, color=theme.muted, linestyle="--", linewidth=1)
    largest = max(board.group.radius for board in boards)
    axes.set_xticks(*radius_ticks(largest))
    axes.set_xlim(-0.03 * float(largest), 1.05 * float(largest))
    axes.set_ylim(0, 100)
    axes.set_title(folded(named(name), 28), loc="left")


def _handles(
    boards: Sequence[Leaderboard], style: Mapping[str, Look], theme: Theme
) -> list[Artist]:
    handles: list[Artist] = [
        Line2D(
            [],
            [],
            color=look.color,
            linestyle=look.dash,
            marker=look.marker,
            markersize=_MARK,
            linewidth=1.4,
            label=named(defense),
        )
        for defense, look in style.items()
    ]
    if any(board.chance is not None for board in boards):
        handles.append(
            Line2D([], [], color=theme.muted, linestyle="--", linewidth=1, label="chance")
        )
    if any(row.worst_case.values and row.worst_case.gaps for board in boards for row in board.rows):
        hollow = Line2D([], [], linestyle="none", marker="o", color=theme.ink, label="lacks a seed")
        hollow.set(markerfacecolor=theme.page, markersize=_MARK)
        handles.append(hollow)
    return handles
