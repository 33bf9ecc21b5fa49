"""What it costs to lay out a large grid: processor seconds and memory, by its number of cells.

    python benchmarks/speed/planning.py [CELLS ...]          (default: 720 7200 10000)

A grid of `fashion` under `none`, `jpeg` and `cgat`, four attacks, two code lengths and as many
seeds as it takes, into a folder that holds nothing. Each row is a process of its own:

    plan       from the suite to cells, steps and their keys, on top of what is imported
    dry run    `hashbench run GRID --dry-run`, imports, estimate and printing included

Memory is the peak of the resident set: of `plan` what it adds, of `dry run` all of it (importing
torch alone holds the better part of it). Bar: the dry run of 7,200 cells takes at most 5 s; exits
with 1 above it.
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
from pathlib import Path

_BAR_CELLS = 7_200
_BAR_SECONDS = 5.0

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


def main() -> int:
    """Print a row for every size; 1 where the bar is missed."""
    arguments = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    arguments.add_argument("cells", nargs="*", type=int, default=[720, _BAR_CELLS, 10_000])
    arguments.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    given = arguments.parse_args()
    if given.measure:
        sys.stdout.write(json.dumps(_planned(given.measure)))
        return 0
    missed = False
    sys.stdout.write(f"{'cells':>7}  {'plan':>18}  {'dry run':>18}\n")
    for cells in given.cells:
        with tempfile.TemporaryDirectory() as folder:
            suite = Path(folder) / "grid.toml"
            suite.write_text(_SUITE.format(seeds=list(range(-(-cells // _CELLS_PER_SEED)))))
            found, seconds, megabytes = json.loads(
                subprocess.check_output([sys.executable, "-P", __file__, "--measure", str(suite)])
            )
            whole, peak = _dry_run(suite)
        sys.stdout.write(
            f"{found:>7,}  {seconds:>6.2f} s {megabytes:>6.0f} MB"
            f"  {whole:>6.2f} s {peak:>6.0f} MB\n"
        )
        missed |= cells == _BAR_CELLS and whole > _BAR_SECONDS
    return int(missed)


def _planned(suite: Path) -> tuple[int, float, float]:
    """Cells, processor seconds and megabytes of one plan, beyond those of a small one."""
    from hashbench.runner.plan import make_plan
    from hashbench.runner.suite import compose

    make_plan(compose(None, {"attack": "noise"}))  # imports, and reads the data
    before, began = _peak(), time.process_time()
    plan = make_plan(compose(suite, {}))
    keys = [step.key for step in plan.steps]
    seconds = time.process_time() - began
    if len(set(keys)) != len(keys):
        raise ValueError("two steps of one key")
    return len(plan.cells), seconds, _peak() - before


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
