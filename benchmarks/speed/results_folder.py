"""What large folders of results cost: every report, and a run of what is finished.

    python benchmarks/speed/results_folder.py [--cells 10000] [--plans 1] [--keep FOLDER]

Fabricates a folder in which a grid is finished (20 cells for each seed: two code lengths, two
defenses, clean queries and four attacks; 1,000 queries), with numbers that are drawn, and runs
commands on it, each in a process of its own. With `--plans N` the folder holds N plans, each of
which asks for more seeds than the one before and for all of theirs.

Prints seconds by the clock and of processors, and peak memory in MB (10^6 bytes). Bars with nothing
else at work: a report in any format of one text 5 s at 1,000 cells and 15 s at 10,000; `run` 15 s
at 10,000, and 500 MB beside what the imports take. A folder of 30 growing plans (`--plans 30`)
costs no more than its last plan alone: after the commands it is measured again without the others.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hashbench.data.protocol import Protocol
from hashbench.plugins import get, names
from hashbench.results.address import Address
from hashbench.results.artifacts import CODES, PER_QUERY, SCORES
from hashbench.results.metrics import Metric, under
from hashbench.results.store import DONE, Store
from hashbench.results.sums import SCHEMA, sealed
from hashbench.retrieval import Ties
from hashbench.runner.evaluation_steps import Scores
from hashbench.runner.plan import Plan, PlannedCell, make_plan
from hashbench.runner.plan_record import plan_record
from hashbench.runner.suite import compose

CELLS_OF_A_SEED = 20
LAUNCHER = """
import resource, subprocess, sys
code = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(used.ru_utime + used.ru_stime, used.ru_maxrss)
sys.exit(code)
"""
"""Runs a command from a process that holds little: a child begins with its parent's peak."""


def commands() -> list[tuple[str, ...]]:
    """A report in every format of one text that is installed, and a run."""
    texts = [name for name in names("format") if getattr(get("format", name), "is_text", False)]
    return [*(("report", "--format", name) for name in texts), ("run",)]


def main() -> None:
    """Print one line per command."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cells", type=int, default=10_000)
    parser.add_argument("--plans", type=int, default=1)
    parser.add_argument("--keep", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.keep or Path(scratch)
        results, suite = folder / "results", folder / "grid.toml"
        seeds = max(1, options.cells // CELLS_OF_A_SEED)
        plan = fabricate(results, suite, seeds, options.plans)
        size = sum(path.stat().st_size for path in (results / "plans").iterdir())
        print(f"{len(plan.cells):,} cells, {options.plans} plans of {size / 1e6:.1f} MB together")
        tell(results, suite)
        if options.plans > 1:
            for path in (results / "plans").iterdir():
                if path.stem != plan.name:
                    path.unlink()
            print("its last plan alone")
            tell(results, suite)


def tell(results: Path, suite: Path) -> None:
    """Print what every command costs."""
    for command in commands():
        cost = measured(command, results, suite)
        print(
            f"{' '.join(command):30} {cost.seconds:6.1f} s  "
            f"{cost.processor:6.1f} s of processors  {cost.megabytes:6.0f} MB",
            flush=True,
        )


@dataclass(frozen=True)
class Cost:
    """What a command took; `processor` is what it would take with nothing else at work."""

    seconds: float
    processor: float
    megabytes: float


def fabricate(results: Path, suite: Path, seeds: int, plans: int) -> Plan:
    """Write a finished folder and its suite; returns the last plan."""
    store, rng = Store(results), np.random.default_rng(0)
    written: set[str] = set()
    for number in range(1, plans + 1):
        count = max(1, seeds * number // plans)
        suite.parent.mkdir(parents=True, exist_ok=True)
        suite.write_text(suite_of(count))
        plan = make_plan(compose(str(suite), {}))
        store.write_plan(plan.name, plan_record(plan, "2026-01-01", store.next_number()))
        for planned in plan.cells:
            if planned.scores.key not in written:
                written.add(planned.scores.key)
                write_cell(results, planned, rng)
    return plan


def suite_of(seeds: int) -> str:
    """The grid's suite file."""
    return f"""name = "grid"
dataset = "fashion"
loss = "csq"
backbone = "small-cnn"
bits = [16, 32]
defense = ["none", "jpeg"]
attack = ["noise", "hag:steps=3", "pgd-hamming:steps=3", "sdha:steps=3"]
seed = {list(range(seeds))}
training = {{ epochs = 1 }}
"""


def write_cell(results: Path, planned: PlannedCell, rng: np.random.Generator) -> None:
    """What is read of a cell: its scores, and the record of its attack."""
    protocol = planned.scores.setting.source.protocol
    write_artifact(results, planned.scores.address, scores(protocol, rng))
    attack = planned.scores.adversarial if isinstance(planned.scores, Scores) else None
    if attack is not None:
        write_artifact(results, attack.address, {CODES: b"not looked at"})


def scores(protocol: Protocol, rng: np.random.Generator) -> Mapping[str, bytes]:
    """Numbers that a cell can have."""
    per_query = {str(ties): rng.random(protocol.query) for ties in Ties}
    metrics: dict[str, Any] = {protocol.metric: float(per_query[Ties.EXPECTED].mean())}
    for ties in (Ties.BEST, Ties.WORST):
        metrics[under(protocol.metric, ties)] = float(per_query[ties].mean())
    metrics |= {str(name): float(rng.random()) for name in Metric}
    levels = [level / 20 for level in range(1, 21)]
    curve = {"recall": levels, "precision": rng.random(20).tolist()}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **per_query)
    text = json.dumps({"metrics": metrics, "curve": curve}, indent=2)
    return {SCORES: text.encode(), PER_QUERY: buffer.getvalue()}


def write_artifact(results: Path, address: Address, files: Mapping[str, bytes]) -> None:
    """As `Store.write`, without a wait for the disk."""
    folder = results / address.path
    folder.mkdir(parents=True)
    record = {
        "schema": SCHEMA,
        "kind": address.kind,
        "key": address.key,
        "files": {name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
        "label": address.slug,
        "made": {"code": ["0" * 64] * 12},
        "environment": {f"package-{number}": "1.0.0" for number in range(13)},
        "seconds": 1.5,
    }
    for name, content in files.items():
        (folder / name).write_bytes(content)
    (folder / DONE).write_text(json.dumps(sealed(record), indent=2, sort_keys=True))


def measured(command: tuple[str, ...], results: Path, suite: Path) -> Cost:
    """Run one command."""
    rest = [str(results)] if command[0] == "report" else [str(suite), "--out", str(results)]
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", LAUNCHER, sys.executable, "-P", "-m", "hashbench", *command, *rest],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=False,
    )
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)}: exit code {done.returncode}")
    processor, kilobytes = done.stdout.split()[-2:]
    return Cost(time.monotonic() - began, float(processor), int(kilobytes) * 1024 / 1e6)


if __name__ == "__main__":
    main()
