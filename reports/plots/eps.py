"""Lines: mAP against the radius, a panel per attack, and one for the worst case where it can be."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from hashbench.reports.board.counting import is_control
from hashbench.reports.board.leaderboard import Leaderboard
from hashbench.reports.board.over_seeds import Entry
from hashbench.reports.board.row import Row
from hashbench.reports.plots.style import (
    CHANCE,
    INK,
    Legend,
    Look,
    finish_grid,
    folded,
    grid_of,
    looks,
    new_figure,
)
from hashbench.reports.text.sentences import metric, one_line, seeds_in_brackets, title

_PANEL = (2.35, 2.25)  # inches
_CLOSE = 0.035  # of the axis: ticks nearer than this share a label

Read = Callable[[Leaderboard, Row], Entry | None]


def eps_figure(boards: Sequence[Leaderboard]) -> Figure | None:
    """All radii of one group; the clean value stands at 0.

    A hollow mark lacks a seed; a value that is missing altogether interrupts its line.

    Args:
        boards: they differ in eps alone, sorted by it.
    """
    if len(boards) < 2:
        return None
    defenses = sorted({row.defense for board in boards for row in board.rows})
    style = dict(
        zip(defenses, looks([f"defense {name}" for name in defenses]).values(), strict=True)
    )
    panels = _panels(boards)
    rows, columns = grid_of(len(panels))
    width = max(4.4, 0.6 + _PANEL[0] * columns)
    heading = title(boards[0]).rpartition(", eps ")[0]
    heading += seeds_in_brackets(boards[0], "mean and standard deviation")
    heading = folded(heading, round(width * 13))
    legend = Legend(_handles(boards, style), width, handle_length=3.5)
    names = max(folded(name, 28).count("\n") for name, _ in panels)
    height = (_PANEL[1] + 0.15 * names) * rows + 0.15 * heading.count("\n") + 0.75
    figure = new_figure(width, height + legend.height)
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    flat: list[Axes] = list(grid.flat)
    for axes, (name, read) in zip(flat, panels, strict=False):
        for defense in defenses:
            _line(axes, boards, defense, read, style[defense])
        _frame(axes, boards, name)
    finish_grid(flat, len(panels), columns, "eps (L-infinity)")
    for axes in grid[:, 0]:
        axes.set_ylabel(f"{metric(boards[0])}, %")
    figure.suptitle(heading, x=0.02, ha="left", fontsize=9)
    legend.draw(figure)
    return figure


def _panels(boards: Sequence[Leaderboard]) -> list[tuple[str, Read]]:
    attacks = sorted(
        {attack for board in boards for attack in board.attacks},
        key=lambda name: (not is_control(name), name),
    )
    panels = [(attack, _reader(attack)) for attack in attacks]
    # Worst cases over different attacks do not belong on one line.
    if any(board.can_rank for board in boards) and len({board.shared for board in boards}) == 1:
        panels.append(("worst case", lambda _, row: row.worst_case))
    return panels


def _reader(attack: str) -> Read:
    def read(board: Leaderboard, row: Row) -> Entry | None:
        if attack not in board.attacks:
            return None
        return row.attacked[board.attacks.index(attack)].expected

    return read


def _line(axes: Axes, boards: Sequence[Leaderboard], defense: str, read: Read, look: Look) -> None:
    points: list[tuple[float, Entry | None]] = []
    for board in boards:
        row = next((row for row in board.rows if row.defense == defense), None)
        if row is None:
            continue
        if not points:
            points.append((0.0, row.clean.expected))
        points.append((float(board.group.radius), read(board, row)))
    x = [radius for radius, _ in points]
    means = [_percent(entry.mean if entry else None) for _, entry in points]
    spread = [_percent((entry.std if entry else None) or 0.0) for _, entry in points]
    axes.errorbar(
        x,
        means,
        yerr=spread if any(spread) else None,
        color=look.color,
        linestyle=look.dash,
        linewidth=1.4,
        elinewidth=0.8,
        capsize=1.8,
    )
    for whole in (True, False):
        chosen = [
            (radius, mean)
            for (radius, entry), mean in zip(points, means, strict=True)
            if entry is not None and entry.values and entry.complete is whole
        ]
        axes.plot(
            [radius for radius, _ in chosen],
            [mean for _, mean in chosen],
            linestyle="none",
            marker=look.marker,
            markersize=4,
            color=look.color,
            markerfacecolor=look.color if whole else "white",
        )


def _percent(value: float | None) -> float:
    return math.nan if value is None else 100 * value


def _frame(axes: Axes, boards: Sequence[Leaderboard], name: str) -> None:
    radii = [float(board.group.radius) for board in boards]
    chance = next((board.chance for board in boards if board.chance is not None), None)
    if chance is not None:
        axes.axhline(100 * chance, color=CHANCE, linestyle="--", linewidth=1)
    places, labels = [0.0], ["0"]
    for radius, board in zip(radii, boards, strict=True):
        if radius - places[-1] < _CLOSE * max(radii):
            labels[-1] += f", {one_line(board.group.eps)}"
        else:
            places.append(radius)
            labels.append(one_line(board.group.eps))
    axes.set_xticks(places, labels, rotation=90 if len(labels) > 3 else 0)
    axes.set_xlim(-0.03 * max(radii), 1.05 * max(radii))
    axes.set_ylim(0, 100)
    axes.set_title(folded(name, 28), loc="left")


def _handles(boards: Sequence[Leaderboard], style: dict[str, Look]) -> list[Artist]:
    handles: list[Artist] = [
        Line2D(
            [],
            [],
            color=look.color,
            linestyle=look.dash,
            marker=look.marker,
            markersize=4,
            linewidth=1.4,
            label=one_line(defense),
        )
        for defense, look in style.items()
    ]
    if any(board.chance is not None for board in boards):
        handles.append(Line2D([], [], color=CHANCE, linestyle="--", linewidth=1, label="chance"))
    if any(row.worst_case.values and row.worst_case.gaps for board in boards for row in board.rows):
        hollow = Line2D([], [], linestyle="none", marker="o", color=INK, label="lacks a seed")
        hollow.set(markerfacecolor="white", markersize=4)
        handles.append(hollow)
    return handles
