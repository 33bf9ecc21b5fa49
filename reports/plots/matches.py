"""Plots of matches: evasion and collision over eps, and the innocent changes of every hash."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from hashbench.characters import shortened
from hashbench.eps import Norm
from hashbench.reports.matches.curves import Panel, as_eps, largest, panels
from hashbench.reports.matches.rows import Group, changes, is_done
from hashbench.reports.plots.bounds import first, sentence
from hashbench.reports.plots.legend import Legend
from hashbench.reports.plots.looks import Look, attack_looks, hash_looks
from hashbench.reports.plots.panels import draw_grid, grid_for, radius_label, radius_ticks
from hashbench.reports.plots.style import LIGHT, Theme, folded, named, new_figure
from hashbench.reports.text.sentences import one_line
from hashbench.results.matches import metrics
from hashbench.results.matches.results import Threat

MOST_HASHES: Final = 9
"""Panels of one figure, and hashes of the plot of changes."""

MOST_ATTACKS: Final = 8
"""Curves of one panel."""

MOST_CHANGES: Final = 60
"""Rows of the plot of changes."""

_PANEL: Final = (2.35, 2.25)  # inches
_MARK: Final = 4  # points
_ROW: Final = 0.19  # inches
_LONGEST_TITLE: Final = 150  # characters
_HATCH: Final = "////"


def evasion_figure(group: Group, theme: Theme = LIGHT) -> Figure | None:
    """A panel per hash: evaded pictures over eps, and what it is proven that no attack reaches."""
    return _over_eps(group, Threat.EVASION, "evaded pictures, %", theme)


def collision_figure(group: Group, theme: Theme = LIGHT) -> Figure | None:
    """The same of pictures that match a stranger."""
    return _over_eps(group, Threat.COLLISION, "pictures that match a stranger, %", theme)


def changes_figure(group: Group, theme: Theme = LIGHT) -> Figure | None:
    """A row per innocent change: the TPR of every hash."""
    cells = [one for one in group.of(Threat.INNOCENT) if is_done(one)]
    cells.sort(key=lambda one: one.cell)
    everywhere, hashes = changes(cells), len(cells)
    names, cells = everywhere[:MOST_CHANGES], cells[:MOST_HASHES]
    if not names:
        return None
    style = hash_looks([one.cell.hash for one in cells], theme)
    width = 5.6
    handles = [_mark_handle(name, look) for name, look in style.items()]
    legend = Legend(handles, width)
    left_out = [
        first(MOST_HASHES, hashes, "hash", "hashes"),
        first(MOST_CHANGES, len(everywhere), "change"),
    ]
    note = sentence(left_out)
    heading = _heading(group, note, width)
    height = 0.9 + _ROW * len(names) + 0.15 * heading.count("\n") + legend.height
    figure = new_figure(width, height)
    axes = figure.add_subplot()
    places = range(len(names))
    # Equal values lie on one another: the hashes stand a little above each other in a row.
    for place, one in enumerate(cells):
        shift = 0.5 * ((place + 0.5) / len(cells) - 0.5)
        found = [
            (100 * one.metrics[metrics.of_change(name)], row + shift)
            for row, name in zip(places, names, strict=True)
            if metrics.of_change(name) in one.metrics
        ]
        look = style[one.cell.hash]
        axes.plot(
            [share for share, _ in found],
            [row for _, row in found],
            linestyle="none",
            marker=look.marker,
            markersize=_MARK,
            color=look.color,
            markeredgecolor=theme.ink,
            markeredgewidth=0.4,
            clip_on=False,
            zorder=3,
        )
    axes.set_yticks(list(places), [named(name) for name in names])
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlim(0, 100)
    axes.set_xlabel("pictures that still match at T, %")
    figure.suptitle(heading, x=0.02, ha="left", fontsize=9)
    legend.draw(figure)
    return figure


def _over_eps(group: Group, threat: Threat, label: str, theme: Theme) -> Figure | None:
    found = panels(group, threat)
    if not any(panel.curves for panel in found):
        return None
    shown = found[:MOST_HASHES]
    attacks = sorted({curve.attack for panel in shown for curve in panel.curves})
    kept = attacks[:MOST_ATTACKS]
    style = attack_looks(kept, theme)
    width = max(4.4, 0.6 + _PANEL[0] * min(3, len(shown)))
    legend = Legend(_handles(shown, style, theme), width, handle_length=3.5)
    grid = grid_for(len(shown), legend, _PANEL)
    note = sentence(
        [
            first(MOST_HASHES, len(found), "hash", "hashes"),
            first(MOST_ATTACKS, len(attacks), "attack"),
        ]
    )
    heading = _heading(group, note, width)
    deep = max(folded(named(panel.hash), 28).count("\n") for panel in shown)
    height = (_PANEL[1] + 0.15 * deep) * len(grid.rows) + 0.15 * heading.count("\n") + 0.75
    figure = new_figure(width, height + (0 if grid.legend_inside else legend.height))
    drawn = draw_grid(figure, grid, legend, radius_label(Norm.LINF))
    most = largest(shown)
    for axes, panel in zip(drawn, shown, strict=True):
        _panel(axes, panel, style, theme)
        axes.set_xticks(*radius_ticks(as_eps(most)))
        axes.set_xlim(-0.03 * most, 1.05 * most)
        axes.set_ylim(0, 102)
        axes.set_title(folded(named(panel.hash), 28), loc="left")
    figure.supylabel(label)
    figure.suptitle(heading, x=0.02, ha="left", fontsize=9)
    return figure


def _panel(axes: Axes, panel: Panel, style: Mapping[str, Look], theme: Theme) -> None:
    if panel.bound:
        axes.fill_between(
            [eps for eps, _ in panel.bound],
            [100 * share for _, share in panel.bound],
            100,
            facecolor=theme.grid,
            edgecolor=theme.control,
            hatch=_HATCH,
            linewidth=0.8,
        )
    for curve in panel.curves:
        look = style.get(curve.attack)
        if look is None:
            continue
        axes.plot(
            [eps for eps, _ in curve.steps],
            [100 * share for _, share in curve.steps],
            color=look.color,
            linestyle=look.dash,
            linewidth=1.4,
        )
        axes.plot(
            [eps for eps, _ in curve.points],
            [100 * share for _, share in curve.points],
            linestyle="none" if curve.steps else look.dash,
            linewidth=1.0,
            marker=look.marker,
            markersize=_MARK,
            color=look.color,
            clip_on=False,
            zorder=3,
        )


def _handles(shown: Sequence[Panel], style: Mapping[str, Look], theme: Theme) -> list[Artist]:
    handles: list[Artist] = [
        Line2D(
            [],
            [],
            color=look.color,
            linestyle=look.dash,
            marker=look.marker,
            markersize=_MARK,
            linewidth=1.4,
            label=named(attack),
        )
        for attack, look in style.items()
    ]
    if any(panel.bound for panel in shown):
        patch = Patch(facecolor=theme.grid, edgecolor=theme.control, hatch=_HATCH, linewidth=0.8)
        patch.set_label("proven: no attack gets here")
        handles.append(patch)
    return handles


def _mark_handle(name: str, look: Look) -> Artist:
    line = Line2D([], [], color=look.color, linestyle="none", marker=look.marker, label=named(name))
    line.set_markersize(_MARK)
    return line


def _heading(group: Group, note: str, width: float) -> str:
    title = shortened(one_line(group.title), _LONGEST_TITLE)
    lines = [folded(title, round(width * 13))]
    lines += [folded(note, round(width * 13))] if note else []
    return "\n".join(lines)
