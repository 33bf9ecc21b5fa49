"""Being told how far something has come: what all long work calls."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[int, int], None]
"""(done, total), in images, or in what else the work is counted in."""


def duration(seconds: float) -> str:
    """Seconds as people say them: `40 s`, `3 min`, `2.5 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def no_progress(done: int, total: int) -> None:
    """Tell nobody."""
