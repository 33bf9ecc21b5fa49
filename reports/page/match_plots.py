"""The plots of a page of matches: evasion and collision over eps, with what is proven. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from hashbench.reports.board.radii import decimal_ticks
from hashbench.reports.matches.curves import Curve, Panel, largest, panels
from hashbench.reports.matches.rows import Group
from hashbench.reports.page.figures import Axis, Figure, percents, region_swatch, swatch, thinned
from hashbench.reports.page.numbers import anchor, percent
from hashbench.reports.page.plots import MOST, Plot, Plots, Series, Sign
from hashbench.reports.text.sentences import one_line
from hashbench.results.matches.results import Threat

CORNERS: Final = 240
"""Corners of one line: further ones are thinner than it."""

WORDS: Final[Mapping[Threat, tuple[str, str]]] = {
    Threat.EVASION: ("Evasion over eps", "evaded pictures (%)"),
    Threat.COLLISION: ("Collision over eps", "pictures that match a stranger (%)"),
}
"""Of each threat, what its figures show, and the axis up."""


def over_eps(group: Group, threat: Threat, attacks: Series) -> Plots:
    """A figure per hash: a line for every attack, and the region that is proven.

    Args:
        group: one set of pictures.
        threat: evasion or collision.
        attacks: the place of every attack among the series.
    """
    found = [panel for panel in panels(group, threat) if panel.curves]
    most = largest(found)
    drawn = [_plot(group, threat, panel, most, attacks) for panel in found[:MOST]]
    return Plots(tuple(drawn), max(0, len(found) - MOST))


def _plot(group: Group, threat: Threat, panel: Panel, most: float, attacks: Series) -> Plot:
    what, up = WORDS[threat]
    name = one_line(panel.hash)
    end = 255 * most * 1.02
    ticks = tuple((value, f"{value:g}") for value in decimal_ticks(255 * most))
    said = "; ".join(f"{one_line(curve.attack)}: {_told(curve)}" for curve in panel.curves)
    figure = Figure(
        anchor("f", threat, group.pictures, group.seed, panel.hash),
        f"{what}: {name}",
        f"Across: eps in 255ths; up: share of the pictures, in percent. {said}.",
        Axis("eps, in 255ths", 0.0, end, ticks),
        percents(up),
    )
    legend = [Sign(swatch(attacks[c.attack], line=True), one_line(c.attack)) for c in panel.curves]
    if panel.bound:
        edge = _scaled(panel.bound)
        figure.area([*edge, (0.0, 100.0)])
        legend.append(Sign(region_swatch(), "proven: no attack gets here"))
    for curve in panel.curves:
        place = attacks[curve.attack]
        points = _scaled(curve.points)
        figure.line(place, _scaled(curve.steps) if curve.steps else points)
        for x, y in points:
            words = f"{one_line(curve.attack)}, eps {x:g}/255: {y:.1f} %"
            figure.point(place, x, y, words)
    return Plot(name, figure.svg(), tuple(legend), ())


def _scaled(points: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """Radii in 255ths, shares in percent."""
    return thinned([(255 * eps, 100 * share) for eps, share in points], CORNERS)


def _told(curve: Curve) -> str:
    points = curve.points or thinned(curve.steps, 5)
    return ", ".join(f"{percent(share)} at {255 * eps:g}/255" for eps, share in points)
