"""How well a run foretells its end: predicted over true remaining time, on the way.

    python benchmarks/speed/remaining_time.py [SUITE] [--workers 2] [--most 1.5]

Runs a suite into a temporary folder, with the forecast of the command line, and prints one line for
each share of the run's time: what was said to be left, what was left, and their ratio. Exits with 1
where a ratio after a fifth of the run lies beyond `--most` or its inverse.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from typing_extensions import override

from hashbench.results.store import Store
from hashbench.runner.engines.contract import Resources
from hashbench.runner.estimate import estimate
from hashbench.runner.plan import make_plan
from hashbench.runner.remaining import Forecast
from hashbench.runner.reporter import Reporter
from hashbench.runner.run import missing_steps, run_plan
from hashbench.runner.steps import Step
from hashbench.runner.suite import load

SHARES: Final = (0.1, 0.2, 0.3, 0.5, 0.8)


class Diary(Reporter):
    """Notes what is said to be left whenever something happens."""

    def __init__(self, forecast: Forecast) -> None:
        """Ask this forecast."""
        self._forecast = forecast
        self.began = time.monotonic()
        self.said: list[tuple[float, float]] = [(0.0, forecast.left())]

    @override
    def started(self, step: Step) -> None:
        self._forecast.started(step)
        self._note()

    @override
    def advanced(self, step: Step, done: int, total: int) -> None:
        self._forecast.advanced(step, done, total)
        self._note()

    @override
    def finished(self, step: Step, seconds: float) -> None:
        self._forecast.finished(step, seconds)
        self._note()

    @override
    def failed(self, step: Step, reason: str, dropped: int) -> None:
        self._forecast.failed(step)

    @override
    def again(self, step: Step, reason: str, tried: int, most: int) -> None:
        self._forecast.again(step)

    def _note(self) -> None:
        self.said.append((time.monotonic() - self.began, self._forecast.left()))


def main() -> int:
    """Run, and compare."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("suite", nargs="?", default="quick")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--most", type=float, default=1.5)
    asked = parser.parse_args()
    plan = make_plan(load(asked.suite))
    with tempfile.TemporaryDirectory() as folder:
        missing = missing_steps(plan, Store(Path(folder)))
        ahead = estimate(missing)
        diary = Diary(Forecast(missing, ahead.by_step, asked.workers, start_up=ahead.start))
        run_plan(plan, out=Path(folder), resources=Resources(asked.workers), reporter=diary)
    whole = time.monotonic() - diary.began
    sys.stdout.write(f"{asked.suite}, {asked.workers} workers: {whole:.0f} s\n")
    sys.stdout.write(f"before: {diary.said[0][1]:.0f} s said, {diary.said[0][1] / whole:.2f}\n")
    good = True
    for share in SHARES:
        at, left = next(one for one in diary.said if one[0] >= share * whole)
        ratio = left / (whole - at)
        good &= share < 0.2 or 1 / asked.most <= ratio <= asked.most
        sys.stdout.write(
            f"{share:4.0%}: {left:5.0f} s said, {whole - at:5.0f} s left, {ratio:.2f}\n"
        )
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
