"""How far an attack says that its steps can go."""

from __future__ import annotations

import math

from hashbench.attacking.contract import Attack
from hashbench.errors import UsageError
from hashbench.plugins.blame import refusing, sentence_of


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
    with refusing(attack, ": its method reach_of_steps() raises"):
        found = attack.reach_of_steps(radius, images)
    if found is None:
        return None
    if isinstance(found, bool) or not isinstance(found, int | float) or not found >= 0:
        start = f"{where} returns {found!r}, expected a number from 0, or None"
        raise UsageError(sentence_of(start, attack, "reach_of_steps"))
    return float(found) if math.isfinite(found) else None
