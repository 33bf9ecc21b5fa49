"""Refuses settings with which no descent can run; attacks call it when they are built."""

from __future__ import annotations

from hashbench.errors import UsageError


def check_descent(steps: int, **sizes: float) -> None:
    """Refuse what no descent can be: `check_descent(self.steps, step_size=self.step_size)`.

    Args:
        steps: number of updates, 0 or more.
        sizes: the sizes of a step by their parameters' names, each above 0.

    Raises:
        UsageError: naming the parameter and its value.
    """
    if steps < 0:
        raise UsageError(f"steps must be 0 or more, found {steps}")
    for name, size in sizes.items():
        if not size > 0:  # written so that NaN is refused too
            raise UsageError(f"{name} must be above 0, found {size}")
