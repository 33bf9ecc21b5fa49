"""Tables that differ in the radius alone, norm by norm; ticks of an axis of radii. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from hashbench.eps import Norm
from hashbench.reports.board.leaderboard import NO_RADIUS, Group, Leaderboard

MOST_TICKS: Final = 5
"""Besides 0."""

_NEAR: Final = 1e-9
"""A quotient so near to a whole number is that number: 0.3 / 0.05 is 5.999..."""


def families(
    boards: Iterable[Leaderboard],
) -> dict[tuple[Group, Norm], tuple[Leaderboard, ...]]:
    """Tables that differ in the radius alone, by what they share: one axis holds their radii.

    Radii of two norms are no numbers of one scale, so those of each norm are a family of their own.
    A table without an attack goes with those of L-infinity.
    """
    found: dict[tuple[Group, Norm], list[Leaderboard]] = {}
    for board in boards:
        key = (replace(board.group, eps=NO_RADIUS), board.group.radius.norm)
        found.setdefault(key, []).append(board)
    return {key: tuple(members) for key, members in found.items()}


def decimal_ticks(largest: float) -> tuple[float, ...]:
    """Round numbers from 0 to a radius, `MOST_TICKS` above 0 at most: steps of 1, 2 or 5.

    Args:
        largest: above 0, or 0 itself, which is one tick.
    """
    if largest <= 0:
        return (0.0,)
    least = math.floor(math.log10(largest)) - 1
    steps = (times * 10.0**power for power in range(least, least + 3) for times in (1, 2, 5))
    step = next(step for step in steps if largest / step <= MOST_TICKS + _NEAR)
    count = math.floor(largest / step + _NEAR)
    return tuple(float(f"{step * place:.6g}") for place in range(count + 1))
