"""What the quick suite costs and what it gives, beside the bars that it has to keep.

    python benchmarks/speed/quick_suite.py [--seed 0 --seed 1 --seed 2] [--workers 2]

Runs `hashbench run` and `hashbench report` from nothing in a temporary folder, and once more from
the store; prints CPU-seconds (user + system, all processes), wall seconds and peak memory (the sum
over the process tree, sampled; Linux only), then the mean mAP over the seeds; a flag on any of its
models counts as a missed bar. Costs are those of all seeds together: the bars for them hold for
one.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

import hashbench

CERTIFIED = "certified:epochs=40,codes=similarity"
PROOF = "certified"
"""Stands for an attack where what is proven has a bar."""

BARS = (
    ("none", "none", "at least", 68.0),
    ("cgat", "pgd-hamming", "at least", 49.0),
    ("atrdh", "pgd-hamming", "at least", 30.0),
    ("none", "pgd-hamming", "at most", 16.0),
    (CERTIFIED, "none", "at least", 63.0),
    (CERTIFIED, PROOF, "at least", 55.0),
)
"""(defense, attack, direction, mAP in percent)."""

CPU_SECONDS = 320
"""What one seed may cost, from nothing."""


def main() -> None:
    """Print costs, then figures beside their bars; exit 1 when one is missed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seed", action="append", type=int)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    seeds: list[int] = options.seed or [0]
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "results"
        for name in ("from nothing", "from the store"):
            cost = run_and_report(store, seeds, options.workers)
            print(
                f"{name:15} {cost.cpu:6.1f} CPU-seconds (bar {CPU_SECONDS * len(seeds)})  "
                f"{cost.wall:6.1f} s  "
                f"peak {cost.resident / 2**20:5.0f} MiB resident, "
                f"{cost.proportional / 2**20:5.0f} MiB with shared pages counted once"
            )
        missed = print_figures(store)
    sys.exit(1 if missed else 0)


@dataclass(frozen=True)
class Cost:
    """What commands took: seconds and bytes."""

    cpu: float
    wall: float
    resident: int
    proportional: int


def run_and_report(store: Path, seeds: list[int], workers: int) -> Cost:
    """What `make demo` runs, once it is installed."""
    tool = [sys.executable, "-P", "-m", "hashbench"]
    chosen = [word for seed in seeds for word in ("--seed", str(seed))]
    report = [*tool, "report", str(store)]
    commands = (
        [*tool, "run", "--out", str(store), "--workers", str(workers), *chosen],
        [
            *report, "--format", "markdown", "-o", str(store / "report.md"),
            "--plots", str(store / "plots"),
        ],
        [*report, "--format", "csv", "-o", str(store / "report.csv")],
        [*report, "--format", "html", "-o", str(store / "board.html")],
        report,
    )  # fmt: skip
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.monotonic()
    watch = MemoryWatch()
    for command in commands:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        watch.root = process.pid
        if process.wait() != 0:
            raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    watch.stop()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Cost(
        cpu=after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        wall=time.monotonic() - began,
        resident=watch.resident,
        proportional=watch.proportional,
    )


class MemoryWatch:
    """Samples the memory of a process and all below it, five times a second."""

    def __init__(self) -> None:
        self.root = 0
        self.resident = 0
        self.proportional = 0
        self._going = True
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Take no further sample."""
        self._going = False
        self._thread.join()

    def _watch(self) -> None:
        while self._going:
            members = [_memory(process) for process in _tree(self.root)]
            self.resident = max(self.resident, sum(rss for rss, _ in members))
            self.proportional = max(self.proportional, sum(pss for _, pss in members))
            time.sleep(0.2)


def _tree(root: int) -> list[int]:
    parents: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has just ended
        parents.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    found, queue = [], [root] if root else []
    while queue:
        process = queue.pop()
        found.append(process)
        queue += parents.get(process, [])
    return found


def _memory(process: int) -> tuple[int, int]:
    """Resident and proportional set size in bytes."""
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0, 0
    sizes = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines[1:]}
    return sizes.get("Rss", 0), sizes.get("Pss", 0)


def print_figures(store: Path) -> bool:
    """The mean mAP of every cell over the seeds; whether a bar is missed."""
    results = hashbench.load_results(store)
    frame = results.to_frame()
    attacked = frame[frame["metric"] == "map"]
    proven = frame[frame["metric"] == "certified_map"].assign(attack=PROOF)
    maps = pd.concat([attacked, proven])
    means = (100 * maps.pivot_table(index="defense", columns="attack", values="value")).round(1)
    print(f"\nmean mAP in percent over {maps['seed'].nunique()} seeds\n{means.to_string()}\n")
    raised = sorted({flag.code for flags in results.flags.values() for flag in flags})
    print(f"flags raised: {', '.join(raised) or 'none'}")
    missed = bool(raised)
    for defense, attack, direction, bar in BARS:
        value = float(means[attack][defense])
        kept = value >= bar if direction == "at least" else value <= bar
        missed |= not kept
        name = "clean" if attack == "none" else attack
        verdict = "kept" if kept else "MISSED"
        print(f"{defense:36} {name:12} {value:5.1f}  {direction} {bar:.0f}: {verdict}")
    return missed


if __name__ == "__main__":
    main()
