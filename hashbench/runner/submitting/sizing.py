"""How many jobs share the cells of a submission. Pure."""

from __future__ import annotations

import math
from typing import Final

from hashbench.runner.submitting.contract import Asked

CELLS_PER_JOB: Final = 1_000
"""Where neither a number was asked for nor the time that the cells take is known."""

MOST_UNASKED: Final = 1_000
"""Jobs of an array that nobody has to ask for: clusters take that many in one."""


def jobs_for(cells: int, asked: Asked, seconds: float | None) -> int:
    """How many jobs: as asked, else as many as have the time to make all cells.

    Args:
        cells: that are to be made, one or more.
        asked: how many, or how large.
        seconds: of one worker's work; `None` where it is not known.
    """
    if asked.jobs is not None:
        return min(asked.jobs, cells)
    if asked.cells is not None:
        return math.ceil(cells / asked.cells)
    if seconds is None:
        return min(math.ceil(cells / CELLS_PER_JOB), MOST_UNASKED)
    one = 3600 * asked.hours * asked.workers
    return max(1, min(math.ceil(seconds / one), cells, MOST_UNASKED))
