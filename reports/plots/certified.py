"""Between what is proven and what attacks leave: bars of one table, lines over the radii."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from hashbench.reports.board.leaderboard import Leaderboard
from hashbench.reports.board.row import Row
from hashbench.reports.plots.bounds import MOST_MODELS, first_models, sentence
from hashbench.reports.plots.legend import Legend
from hashbench.reports.plots.looks import Look, defense_looks
from hashbench.reports.plots.panels import draw_grid, grid_for, radius_label, radius_ticks
from hashbench.reports.plots.style import LIGHT, Theme, folded, halo, named, new_figure
from hashbench.reports.text.sentences import metric, seeds_in_brackets, title

MOST_PANELS: Final = 6
_WIDTH: Final = 6.4  # inches
_ROW: Final = 0.34
_PANEL: Final = (2.35, 2.25)
_MARK: Final = 4.5  # points


def certified_figure(board: Leaderboard, theme: Theme = LIGHT) -> Figure | None:
    """A bar per model from what is proven to what the worst case leaves, and a mark where clean is.

    The true robust mAP lies inside the bar. A model without a certificate has its mark and its
    worst case, and says so; `None` where nobody asked for one.
    """
    if not board.has_certificates:
        return None
    rows = board.rows[:MOST_MODELS]
    style = defense_looks([row.defense for row in rows], theme)
    heading = folded(title(board) + seeds_in_brackets(board, "means"), 84)
    if note := sentence([first_models(len(board.rows))]):
        heading += f"\n{folded(note, 84)}"
    handles: list[Artist] = [
        Patch(facecolor=theme.control, label="proven to worst case"),
        Line2D([], [], linestyle="none", **_clean_mark(theme), label="clean"),
        *([Line2D([], [], linestyle="none", **_worst_mark(theme), label="worst case")]),
    ]
    if board.chance is not None:
        handles.append(Line2D([], [], **_chance(theme), label="chance"))
    legend = Legend(handles, _WIDTH)
    height = 0.95 + _ROW * len(rows) + 0.15 * heading.count("\n") + legend.height
    figure = new_figure(_WIDTH, height)
    axes = figure.add_subplot()
    for place, row in enumerate(rows):
        _bar(axes, place, row, style[row.defense], theme)
    if board.chance is not None:
        axes.axvline(100 * board.chance, zorder=1, **_chance(theme))
    axes.set_yticks(range(len(rows)), [folded(named(row.defense), 30) for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlim(0, 100)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel(f"{metric(board)}, %")
    axes.set_title(heading, loc="left", pad=8)
    for text in axes.texts:
        text.set(path_effects=halo(theme), zorder=5)
    legend.draw(figure)
    return figure


def _bar(axes: Axes, place: int, row: Row, look: Look, theme: Theme) -> None:
    found, clean = row.certified, row.clean.expected.mean
    proven = None if found is None else found.least.mean
    worst = row.worst_case.mean
    if proven is not None:
        # Where nobody attacked, all that is known is that the truth is at most clean.
        top = worst if worst is not None else clean
        if top is not None:
            axes.barh(
                place,
                100 * (top - proven),
                left=100 * proven,
                height=0.52,
                facecolor=look.color,
                edgecolor=theme.ink,
                linewidth=0.7,
                linestyle="-" if worst is not None else ":",
            )
        worthless = found is not None and found.worthless
        _say(axes, place, 100 * proven, f"{100 * proven:.1f}", -1, theme, dim=worthless)
    elif found is not None:
        known = [value for value in (worst, clean) if value is not None]
        near = 100 * min(known) if known else 50.0
        side = -1 if near > 35 else 1
        far = near if side < 0 else 100 * max(known, default=0.5)
        _say(axes, place, far, found.words, side, theme, dim=True)
    if worst is not None:
        axes.plot(100 * worst, place, linestyle="none", zorder=4, **_worst_mark(theme))
    if clean is not None:
        axes.plot(100 * clean, place, linestyle="none", zorder=4, **_clean_mark(theme))


def _say(
    axes: Axes, place: int, x: float, words: str, side: int, theme: Theme, *, dim: bool
) -> None:
    # Left of the axis there is no room for a number that begins there.
    if side < 0 and x < 8:
        side, x = 1, x + 1
    axes.annotate(
        words,
        (x, place),
        xytext=(5 * side, 0),
        textcoords="offset points",
        ha="right" if side < 0 else "left",
        va="center",
        fontsize=7,
        color=theme.problem if dim else theme.ink,
    )


def certified_eps_figure(boards: Sequence[Leaderboard], theme: Theme = LIGHT) -> Figure | None:
    """A panel per model with a certificate: clean, worst case and proven mAP against the radius.

    Args:
        boards: they differ in eps alone, sorted by it; all of one norm.
        theme: of the page.
    """
    asked = list(
        dict.fromkeys(
            row.defense
            for board in reversed(boards)
            for row in board.rows
            if row.certified is not None and row.certified.proven.values
        )
    )
    if len({board.group.radius for board in boards}) < 2 or not asked:
        return None
    defenses = asked[:MOST_PANELS]
    style = defense_looks(defenses, theme)
    legend = Legend(_line_handles(boards, theme), 4.4, handle_length=3.0)
    grid = grid_for(len(defenses), legend, _PANEL)
    width = max(4.4, 0.6 + _PANEL[0] * grid.columns)
    heading = title(boards[0]).rpartition(", eps ")[0]
    heading += seeds_in_brackets(boards[0], "means")
    heading = folded(heading, round(width * 13))
    if len(asked) > MOST_PANELS:
        cut = sentence([f"the first {MOST_PANELS} of {len(asked)} models with a certificate"])
        heading += f"\n{folded(cut, round(width * 13))}"
    height = _PANEL[1] * len(grid.rows) + 0.15 * heading.count("\n") + 0.75
    figure = new_figure(width, height + (0 if grid.legend_inside else legend.height))
    panels = draw_grid(figure, grid, legend, radius_label(boards[0].group.radius.norm))
    for axes, defense in zip(panels, defenses, strict=True):
        _panel(axes, boards, defense, style[defense], theme)
    figure.supylabel(f"{metric(boards[0])}, %")
    figure.suptitle(heading, x=0.02, ha="left", fontsize=9)
    return figure


def _panel(
    axes: Axes, boards: Sequence[Leaderboard], defense: str, look: Look, theme: Theme
) -> None:
    radii: list[float] = []
    proven: list[float] = []
    worst: list[float] = []
    clean = math.nan
    for board in boards:
        row = next((row for row in board.rows if row.defense == defense), None)
        if row is None:
            continue
        radii.append(float(board.group.radius))
        proven.append(_percent(None if row.certified is None else row.certified.least.mean))
        worst.append(_percent(row.worst_case.mean))
        clean = _percent(row.clean.expected.mean)
    axes.fill_between(radii, proven, worst, color=look.color, alpha=0.22, linewidth=0)
    axes.plot(radii, worst, color=theme.ink, linewidth=1.2, linestyle="--", **_small("v", theme))
    axes.plot(radii, proven, color=theme.ink, linewidth=1.4, **_small("^", theme))
    axes.axhline(clean, color=theme.ink, linewidth=1.0, linestyle=":")
    chance = next((board.chance for board in boards if board.chance is not None), None)
    if chance is not None:
        axes.axhline(100 * chance, **_chance(theme))
    largest = max(board.group.radius for board in boards)
    axes.set_xticks(*radius_ticks(largest))
    axes.set_xlim(-0.03 * float(largest), 1.05 * float(largest))
    axes.set_ylim(0, 100)
    axes.set_title(folded(named(defense), 28), loc="left")


def _line_handles(boards: Sequence[Leaderboard], theme: Theme) -> list[Artist]:
    ink: dict[str, Any] = {"color": theme.ink}
    handles: list[Artist] = [
        Line2D([], [], linewidth=1.0, linestyle=":", **ink, label="clean"),
        Line2D(
            [], [], linewidth=1.2, linestyle="--", **_small("v", theme), **ink, label="worst case"
        ),
        Line2D([], [], linewidth=1.4, **_small("^", theme), **ink, label="proven"),
    ]
    if any(board.chance is not None for board in boards):
        handles.append(Line2D([], [], **_chance(theme), label="chance"))
    return handles


def _percent(value: float | None) -> float:
    return math.nan if value is None else 100 * value


def _small(marker: str, theme: Theme) -> dict[str, Any]:
    return {"marker": marker, "markersize": _MARK, "markerfacecolor": theme.page}


def _clean_mark(theme: Theme) -> dict[str, Any]:
    return {"marker": "|", "markersize": 12, "markeredgewidth": 2.0, "color": theme.ink}


def _worst_mark(theme: Theme) -> dict[str, Any]:
    return {
        "marker": "<",
        "markersize": _MARK + 1,
        "color": theme.ink,
        "markerfacecolor": theme.page,
    }


def _chance(theme: Theme) -> dict[str, Any]:
    return {"color": theme.muted, "linestyle": "--", "linewidth": 1.0}
