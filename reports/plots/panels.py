"""Panels of one figure: a grid without an empty place, and the ticks of a radius."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hashbench.eps import Eps, Norm
from hashbench.reports.board.radii import decimal_ticks
from hashbench.reports.plots.legend import Legend

MOST_COLUMNS: Final = 3
_STEPS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 255)
"""Of the ticks of a radius, in 255ths."""

MOST_STEPS: Final = 4
"""Ticks besides 0, so that their labels stand beside each other in a panel."""


@dataclass(frozen=True)
class Grid:
    """How many panels there are in each row, and whether the legend has the last place.

    Attributes:
        rows: number of panels, by row.
        legend_inside: the last row's last place is the legend's.
    """

    rows: tuple[int, ...]
    legend_inside: bool

    @property
    def columns(self) -> int:
        """Places of the longest row."""
        return max(self.rows)


def grid_for(panels: int, legend: Legend, panel: tuple[float, float]) -> Grid:
    """Rows of up to three panels, filled evenly; a last place that is left holds the legend.

    Where it does not fit there, rows are filled to the edge by wider panels.

    Args:
        panels: how many.
        legend: of the figure.
        panel: width and height of one, inches.
    """
    rows = math.ceil(panels / MOST_COLUMNS)
    columns = math.ceil(panels / rows)
    if rows * columns - panels == 1 and legend.fits(*panel):
        return Grid((columns,) * (rows - 1) + (columns - 1,), legend_inside=True)
    deep, longer = divmod(panels, rows)
    return Grid(tuple(deep + (row < longer) for row in range(rows)), legend_inside=False)


def draw_grid(figure: Figure, grid: Grid, legend: Legend, label: str) -> list[Axes]:
    """The panels, row by row, all with the same axes, and the legend in its place.

    All have numbers across, the first of each row upwards; the last of each column says what these
    are.

    Args:
        figure: to be filled.
        grid: its rows.
        legend: of the figure.
        label: of the axis across.
    """
    panels: list[Axes] = []
    outer = figure.add_gridspec(len(grid.rows), 1)
    for row, count in enumerate(grid.rows):
        last = grid.legend_inside and row == len(grid.rows) - 1
        places = outer[row].subgridspec(1, count + 1 if last else count)
        for column in range(count):
            shared = panels[0] if panels else None
            axes = figure.add_subplot(places[column], sharex=shared, sharey=shared)
            axes.tick_params(axis="y", labelleft=column == 0)
            below = grid.rows[row + 1] if row + 1 < len(grid.rows) else 0
            if below == 0 or (column >= below and count > below and grid.legend_inside):
                axes.set_xlabel(label)
            panels.append(axes)
        if last:
            free = figure.add_subplot(places[count])
            free.set_axis_off()
            legend.draw_in(free)
    if not grid.legend_inside:
        legend.draw(figure)
    return panels


def radius_label(norm: Norm) -> str:
    """What stands under an axis of radii."""
    return f"eps ({norm.words})"


def radius_ticks(largest: Eps) -> tuple[list[float], list[str]]:
    """Few ticks from 0 to a radius, as people say them: `8/255`, in L2 `0.5`.

    Args:
        largest: radius that is drawn.

    Returns:
        Places and labels. An L-infinity radius below 1/255 has decimals.
    """
    if largest.norm is Norm.L2:
        found = decimal_ticks(float(largest))
        return list(found), [f"{place:g}" for place in found]
    steps = largest.fraction * 255
    if steps < 1:
        if not largest.fraction:
            return [0.0], ["0"]
        return [0.0, float(largest)], ["0", f"{float(largest):.2g}"]
    step = next((n for n in _STEPS if steps / n <= MOST_STEPS), _STEPS[-1])
    whole = range(0, math.floor(steps) + 1, step)
    return [n / 255 for n in whole], [f"{n}/255" if n else "0" for n in whole]


def spread(values: Sequence[float], share: float = 0.08) -> tuple[float, float]:
    """Bounds of an axis: the values with a share of their range around."""
    low, high = min(values), max(values)
    room = (high - low or abs(high) or 1.0) * share
    return low - room, high + room
