"""Shares of pictures over eps, of what was attacked and of what is proven. Numpy, pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hashbench.eps import Eps
from hashbench.reports.matches.rows import AttackRow, Group, attack_rows, is_done, radius_order
from hashbench.results.matches import metrics
from hashbench.results.matches.results import MatchResult, Threat

Point = tuple[float, float]
"""A radius in `[0, 1]`, and a share of the pictures in `[0, 1]`."""

PER_PICTURE: Final = "eps"
"""The array of a cell with the radius of each picture."""


@dataclass(frozen=True)
class Curve:
    """What one attack did to one hash.

    Attributes:
        attack: canonical text.
        steps: corners of the share of pictures whose least radius is at most eps, from 0 on.
        points: the share at each radius that was asked for, the smallest first.
    """

    attack: str
    steps: tuple[Point, ...]
    points: tuple[Point, ...]


@dataclass(frozen=True)
class Panel:
    """One hash under all attacks of a threat.

    Attributes:
        hash: canonical text.
        curves: by attack; one without a number is left out.
        bound: corners of the largest share that any attack can reach: above them it is proven that
            none does. Empty where nothing is.
    """

    hash: str
    curves: tuple[Curve, ...]
    bound: tuple[Point, ...]


def panels(group: Group, threat: Threat) -> tuple[Panel, ...]:
    """A panel per hash that has a number, in the order of the names."""
    rows = attack_rows(group, threat)
    found = []
    for name in dict.fromkeys(row.hash for row in rows):
        own = [row for row in rows if row.hash == name]
        curves = [curve for curve in map(_curve, own) if curve.steps or curve.points]
        bound = _bound(own[0].proof)
        if curves or bound:
            found.append(Panel(name, tuple(curves), bound))
    return tuple(found)


def largest(found: Iterable[Panel]) -> float:
    """The largest radius of any of them: what an axis shows."""
    places = [
        eps
        for panel in found
        for points in (panel.bound, *(line for c in panel.curves for line in (c.steps, c.points)))
        for eps, _ in points
    ]
    return max(places, default=0.0) or 1 / 255


def as_eps(radius: float) -> Eps:
    """A radius as what ticks are made for."""
    return Eps.parse(min(radius, 1.0))


def _curve(row: AttackRow) -> Curve:
    metric = metrics.EVASION if _threat(row) is Threat.EVASION else metrics.COLLISION
    points = [
        (float(radius), one.metrics[metric])
        for _, one in sorted(row.at.items(), key=lambda pair: radius_order(pair[0]))
        if is_done(one) and metric in one.metrics and (radius := one.cell.radius) is not None
    ]
    return Curve(row.attack, _going_on(_distribution(row.least), points), tuple(points))


def _going_on(steps: tuple[Point, ...], points: list[Point]) -> tuple[Point, ...]:
    """The steps, as far as the largest radius that was asked for, if that is as high as they."""
    if not steps or not points or points[-1][0] <= steps[-1][0]:
        return steps
    return (*steps, points[-1]) if points[-1][1] == steps[-1][1] else steps


def _threat(row: AttackRow) -> Threat:
    cells = [*row.at.values(), *([row.least] if row.least is not None else [])]
    return cells[0].threat if cells else Threat.EVASION


def _distribution(result: MatchResult | None) -> tuple[Point, ...]:
    """The corners of the share of pictures whose radius is at most eps."""
    eps = _radii(result)
    finite = np.sort(eps[np.isfinite(eps)])
    if not len(finite):
        return ()
    corners: list[Point] = [(0.0, 0.0)]
    for place, radius in enumerate(finite.tolist(), start=1):
        corners += [(radius, (place - 1) / len(eps)), (radius, place / len(eps))]
    return tuple(corners)


def _bound(result: MatchResult | None) -> tuple[Point, ...]:
    """The corners of what no attack goes beyond: the share of pictures not proven at eps."""
    corners = _distribution(result)
    return corners if any(eps > 0 for eps, _ in corners) else ()


def _radii(result: MatchResult | None) -> NDArray[np.float64]:
    if result is None or not is_done(result):
        return np.empty(0)
    found: NDArray[np.float64] = np.asarray(
        result.per_picture.get(PER_PICTURE, ()), dtype=np.float64
    )
    return found[~np.isnan(found)]
