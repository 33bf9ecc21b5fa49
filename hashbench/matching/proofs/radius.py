"""The largest radius at which a proof still holds a picture within a threshold."""

from __future__ import annotations

from fractions import Fraction
from typing import Final

from hashbench.matching.contract import Proof
from hashbench.matching.pictures import STEPS, Picture

PARTS: Final = 64
"""Radii are tried in this part of a step of 8 bits."""

MOST: Final = 64
"""No radius above so many steps is tried."""


def proven_eps(picture: Picture, proof: Proof, threshold: int) -> Fraction:
    """Return a radius within which no file of a picture turns more bits than a threshold.

    Found by bisection over multiples of 1/64 step. Bounds need not grow with the box: the radius
    returned is one whose own box was tried (or 0, where nothing was proven of any box tried).

    Args:
        picture: whose boxes are meant.
        proof: of a hash.
        threshold: the distance up to which two pictures match.

    Returns:
        In `[0, 64/255]` pixels.
    """

    def holds(parts: int) -> bool:
        box = picture.box(Fraction(parts, PARTS * STEPS))
        return proof.most_turned(picture.saved, *box) <= threshold

    # Doubling first: large boxes cost more, and most radii are small.
    proven, failed = 0, MOST * PARTS + 1
    step = PARTS // 4
    while step <= MOST * PARTS and holds(step):
        proven, step = step, step * 2
    failed = min(failed, step)
    while failed - proven > 1:
        middle = (proven + failed) // 2
        if holds(middle):
            proven = middle
        else:
            failed = middle
    return Fraction(proven, PARTS * STEPS)
