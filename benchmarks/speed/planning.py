"""What it costs to lay out a large grid and to hand out its steps, by its number of cells.

    python benchmarks/speed/planning.py [CELLS ...]          (default: 720 7200 10000 100000)

A grid of `fashion` under `none`, `jpeg` and `cgat`, four attacks, two code lengths and as many
seeds as it takes, into a folder that holds nothing. Processor seconds; each size is a process of
its own:

    plan       from the suite to cells, steps and their keys, on top of what is imported
    memory     the peak of the resident set until then, imports (torch) included
    noted      the plan as the store keeps it, written there
    missing    which steps are to be made: all
    schedule   an engine that does nothing: every step is taken out and told to be done
    told       the same with a forecast of the remaining time after every step
    dry run    `hashbench run GRID --dry-run`, a process with all its imports, and its memory

The schedule is also told by the step, in microseconds: a step costs as much in the largest grid as
in the smallest. Bars, and the exit code 1 where one is missed: the dry run of 7,200 cells takes at
most 5 s, the plan of 100,000 at most 10 s and 1,000 MB.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

_DRY_RUN = (7_200, 5.0)
"""Cells, and the most seconds of their dry run."""

_PLAN = (100_000, 10.0, 1_000.0)
"""Cells, and the most seconds and megabytes of their plan."""

_CELLS_PER_SEED = 2 * 3 * 5
"""Two code lengths, three defenses, and four attacks beside the clean queries."""

_SUITE = """\
defense = ["none", "jpeg", "cgat"]
attack = ["noise", "hag:steps=3", "pgd-hamming:steps=3", "sdha:steps=3"]
bits = [16, 32]
seed = {seeds}
[training]
epochs = 1
[budget]
epochs = 1
inner_steps = 1
"""

T = TypeVar("T")


@dataclass(frozen=True)
class Measured:
    """Processor seconds of each part, of `cells` cells in `steps` steps; megabytes of the plan."""

    cells: int
    steps: int
    plan: float
    megabytes: float
    noted: float
    missing: float
    schedule: float
    told: float


def main() -> int:
    """Print a row for every size; 1 where a bar is missed."""
    arguments = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    sizes = [720, _DRY_RUN[0], 10_000, _PLAN[0]]
    arguments.add_argument("cells", nargs="*", type=int, default=sizes)
    arguments.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    given = arguments.parse_args()
    if given.measure:
        sys.stdout.write(json.dumps(asdict(_measured(given.measure))))
        return 0
    missed = False
    heads = ("cells", "steps", "plan", "memory", "noted", "missing", "schedule", "told", "dry run")
    sys.stdout.write("  ".join(f"{head:>8}" for head in heads) + "\n")
    for cells in given.cells:
        with tempfile.TemporaryDirectory() as folder:
            suite = Path(folder) / "grid.toml"
            suite.write_text(_SUITE.format(seeds=list(range(-(-cells // _CELLS_PER_SEED)))))
            command = [sys.executable, "-P", __file__, "--measure", str(suite)]
            found = Measured(**json.loads(subprocess.check_output(command)))
            whole, peak = _dry_run(suite)
        seconds = (found.noted, found.missing, found.schedule, found.told)
        size = f"{found.cells:>8,}  {found.steps:>8,}"
        sys.stdout.write(
            f"{size}  {found.plan:>6.2f} s  {found.megabytes:>5.0f} MB"
            f"  {'  '.join(f'{each:>6.2f} s' for each in seconds)}  {whole:>6.2f} s {peak:>5.0f} MB"
            f"  ({1e6 * found.schedule / found.steps:.1f} and "
            f"{1e6 * found.told / found.steps:.1f} us a step)\n"
        )
        missed |= cells == _DRY_RUN[0] and whole > _DRY_RUN[1]
        missed |= cells == _PLAN[0] and (found.plan > _PLAN[1] or found.megabytes > _PLAN[2])
    return int(missed)


def _measured(suite: Path) -> Measured:
    """Every part in this process, one after the other."""
    from hashbench.results.store import Store
    from hashbench.runner.engines.schedule import Schedule
    from hashbench.runner.plan import make_plan
    from hashbench.runner.plan_record import plan_record
    from hashbench.runner.remaining import Forecast
    from hashbench.runner.run import missing_steps
    from hashbench.runner.suite import compose

    make_plan(compose(None, {"attack": "noise"}))  # imports, and reads the data
    plan, planned = _timed(lambda: make_plan(compose(suite, {})))
    megabytes = _peak()
    if len({step.key for step in plan.steps}) != len(plan.steps):
        raise ValueError("two steps of one key")
    store = Store(suite.parent / "results")
    _, noted = _timed(lambda: store.write_plan(plan.name, plan_record(plan, "2026-01-01", 1)))
    todo, missing = _timed(lambda: missing_steps(plan, store))

    def all_made(forecast: Forecast | None) -> int:
        schedule = Schedule(todo, ())
        count = 0
        while (step := schedule.next()) is not None:
            if forecast is not None:
                forecast.started(step)
            schedule.succeed(step)
            count += 1
            if forecast is not None:
                forecast.finished(step, 0.1)
                forecast.left()
        return count

    made, schedule = _timed(lambda: all_made(None))
    if made != len(todo):
        raise ValueError("a step was not handed out")
    _, told = _timed(lambda: all_made(Forecast(todo, {}, workers=2)))
    cells, steps = len(plan.cells), len(plan.steps)
    return Measured(cells, steps, planned, megabytes, noted, missing, schedule, told)


def _timed(work: Callable[[], T]) -> tuple[T, float]:
    began = time.process_time()
    return work(), time.process_time() - began


def _dry_run(suite: Path) -> tuple[float, float]:
    """Processor seconds and megabytes of the whole command."""
    command = [sys.executable, "-P", "-m", "hashbench", "run", str(suite), "--dry-run"]
    child = subprocess.Popen(
        [*command, "--out", str(suite.parent / "none")], stdout=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(child.pid, 0)
    if os.waitstatus_to_exitcode(status):
        raise subprocess.CalledProcessError(os.waitstatus_to_exitcode(status), command)
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    sys.exit(main())
