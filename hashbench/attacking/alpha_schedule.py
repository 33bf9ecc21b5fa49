"""Schedules of the tanh scale alpha over an attack's steps."""

from __future__ import annotations

from enum import StrEnum

_TENTHS = (0.1, 0.1, 0.1, 0.1, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0)


class AlphaSchedule(StrEnum):
    """How the scale of `tanh(alpha * z)` changes over an attack.

    A small alpha keeps the tanh away from saturation, where its gradient vanishes.
    """

    CONSTANT = "constant"
    """1 in every step (CgAT, SIGIR'21)."""

    TENTHS = "tenths"
    """0.1 for the first half of the steps, then 0.2, 0.3, 0.5, 0.7, 1.0 for a tenth each.

    Introduced with HAG; the table of SAAT's `get_alpha`, and DHTA's at 2,000 steps.
    """

    def at(self, step: int, steps: int) -> float:
        """The scale in step `step` of `steps`, counted from 0."""
        if self is AlphaSchedule.CONSTANT:
            return 1.0
        return _TENTHS[min(9, 10 * step // steps)]
