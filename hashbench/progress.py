"""Being told how far something has come: what everything that reads many images calls."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[int, int], None]
"""(done, total), in images."""


def no_progress(done: int, total: int) -> None:
    """Tell nobody."""
