"""One number of a report over its seeds: what was measured, and what is missing. Pure data."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass

from hashbench.results.cell import Status
from hashbench.results.intervals import Interval


@dataclass(frozen=True, order=True)
class Gap:
    """A seed without a number.

    Attributes:
        seed: which one.
        status: failed or not run.
        reason: why, on one line.
    """

    seed: int
    status: Status
    reason: str


@dataclass(frozen=True)
class Entry:
    """A number for every seed that was asked for, or the reason why there is none.

    Attributes:
        values: (seed, value) of the seeds that are done, sorted; values are finite.
        gaps: the other seeds, sorted.
        interval: 95 % of the mean, for other queries of the same kind; `None` where it is no mean
            over queries, or not known.
    """

    values: tuple[tuple[int, float], ...] = ()
    gaps: tuple[Gap, ...] = ()
    interval: Interval | None = None

    @property
    def seeds(self) -> int:
        """How many seeds were asked for."""
        return len(self.values) + len(self.gaps)

    @property
    def complete(self) -> bool:
        """Whether every seed has its number, and there is at least one."""
        return bool(self.values) and not self.gaps

    @property
    def mean(self) -> float | None:
        """Mean over the seeds that are done; `None` where none is."""
        return statistics.fmean(value for _, value in self.values) if self.values else None

    @property
    def std(self) -> float | None:
        """Sample standard deviation (divided by n - 1); `None` below two seeds."""
        if len(self.values) < 2:
            return None
        return statistics.stdev(value for _, value in self.values)

    @property
    def status(self) -> Status:
        """The worst status of any seed: failed before not run before done."""
        found = {gap.status for gap in self.gaps}
        for status in (Status.FAILED, Status.MISSING):
            if status in found:
                return status
        return Status.DONE if self.values else Status.MISSING


def collect(by_seed: Mapping[int, float | Gap]) -> Entry:
    """Put the seeds of one number together.

    Args:
        by_seed: its value, or why there is none. A value that is not finite counts as failed.
    """
    values: list[tuple[int, float]] = []
    gaps: list[Gap] = []
    for seed, found in sorted(by_seed.items()):
        if isinstance(found, Gap):
            gaps.append(found)
        elif math.isfinite(found):
            values.append((seed, float(found)))
        else:
            gaps.append(Gap(seed, Status.FAILED, f"the value is {found}"))
    return Entry(tuple(values), tuple(gaps))
