"""Being told how far something has come: what all long work calls."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[int, int], None]
"""(done, total), in images, or in what else the work is counted in."""


def no_progress(done: int, total: int) -> None:
    """Tell nobody."""
