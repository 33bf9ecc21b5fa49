"""What the shipped model gives under attack, and by how much an installation may differ from it.

A model that is trained again is another model: its values differ by up to half a point. Attacks on
given weights differ by rounding alone, and `TOLERANCE` bounds what that can do:

- Clean and noise: nothing is amplified. A bit turns only where an output is within some 1e-5 of 0;
  no query's is within 1e-4, and 3 of the database's 320,000. One of these moves mAP by less than
  0.001 points; a bit of a query, of which one in thirty builds may have one, by 0.02 or so.
- Attacks: the sign step amplifies. Where a pixel's gradient is within rounding of 0 its sign may
  turn, the pixel moves the other way by a whole step, and from there on two searches part. The
  query's answer is then another one, as if the attack had begun elsewhere in the ball. Other starts
  for all 500 queries give mAP a standard deviation of 0.10 points (`pgd-hamming`; `smooth-ap`
  0.05; seven seeds). Of two draws it is 0.15, and as long as one query in ten parts, 0.05: four of
  these are 0.2 points.

How far the builds that were tried used this is in `docs/reproducing.md`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hashbench.results.cell import CLEAN

SHIPPED: Final = Path(__file__).parent / "shipped"
"""The folder of the model: weights and card."""

EPS: Final = "24/255"
"""Radius of the attacks on it: the quick suite's."""

MEASURED: Final[Mapping[str, float]] = {
    CLEAN: 0.710367,
    "noise": 0.705168,
    "pgd-hamming": 0.541296,
    "smooth-ap": 0.499223,
}
"""MAP over the whole ranking, by attack, in `[0, 1]`: all 500 queries, 100 steps, seed 0."""

TOLERANCE: Final[Mapping[str, float]] = {
    CLEAN: 0.0002,
    "noise": 0.0002,
    "pgd-hamming": 0.002,
    "smooth-ap": 0.002,
}
"""By how much mAP may differ, by attack: see above."""


@dataclass(frozen=True)
class Compared:
    """One value of the shipped model, as stated and as measured here.

    Attributes:
        attack: its name; `none` for clean queries.
        stated, measured: mAP in `[0, 1]`.
        tolerance: by how much they may differ.
    """

    attack: str
    stated: float
    measured: float
    tolerance: float

    @property
    def holds(self) -> bool:
        """Whether the difference is one that rounding can make."""
        return abs(self.measured - self.stated) <= self.tolerance


def compared(measured: Mapping[str, float]) -> tuple[Compared, ...]:
    """Every stated value beside what was measured.

    Args:
        measured: mAP in `[0, 1]` by attack; all that are stated.
    """
    return tuple(
        Compared(attack, stated, measured[attack], TOLERANCE[attack])
        for attack, stated in MEASURED.items()
    )
