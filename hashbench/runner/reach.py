"""How far an attack says that its steps can go."""

from __future__ import annotations

import math

from hashbench.attacking.contract import Attack
from hashbench.errors import UsageError


def reach_of(attack: Attack, radius: float, images: int) -> float | None:
    """How far the attack's steps can move a pixel, in `[0, 1]` pixels; `None` if nothing bounds it.

    Args:
        attack: the plugin.
        radius: of the ball, in `[0, 1]` pixels.
        images: of the training set.

    Raises:
        UsageError: the attack raises, or answers what is no number.
    """
    where = f"attack '{attack.card.name}': its method reach_of_steps()"
    try:
        found = attack.reach_of_steps(radius, images)
    except Exception as error:  # a plugin may raise anything
        raise UsageError(f"{where} raises {type(error).__name__}: {error}") from error
    if found is None:
        return None
    if isinstance(found, bool) or not isinstance(found, int | float) or not found >= 0:
        raise UsageError(f"{where} returns {found!r}, expected a number from 0, or None")
    return float(found) if math.isfinite(found) else None
