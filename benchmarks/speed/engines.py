"""Cells per minute of the engines, and what each adds to a cell; for a machine that is idle.

    python benchmarks/speed/engines.py [--rounds 3] [--cells 24] [--tiny 60] [--epochs 6]

Two grids, each from nothing, in alternation: `local` with one worker, `local` with two, `ray` with
two on this machine. The first is of cells whose steps take seconds, as real ones do (Fashion with
few steps of attack): cells per minute, and the median of the ratios to `local` with one worker. The
clock runs from the first step's first progress to the last one's end, and, in brackets, over the
whole command: a short grid's start-up says nothing of a long one's.

The second is of tiny cells, with one worker in each engine. What an engine adds to one is the time
from the end of the first step, the training, to the last one's end, without what the steps after it
took by themselves, divided by the cells.

Goals: `local` 1.7 times and `ray` 1.5 times as many cells per minute with two workers as `local`
with one; at most 150 ms a cell.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

TINY: Final = Path(__file__).resolve().parents[2] / "tests" / "plugins" / "tiny_data.py"

REAL: Final = """
name = "engines"
dataset = "fashion"
loss = "csq"
backbone = "small-cnn"
bits = {bits}
eps = "24/255"
defense = "none"
attack = ["hag:steps=20", "pgd-hamming:steps=20", "sdha:steps=20"]
[training]
epochs = {epochs}
"""

SMALL: Final = """
name = "engines"
plugin = "{plugin}"
dataset = "tiny"
loss = "csq"
backbone = "small-cnn:width=4,hidden=16"
bits = 8
eps = "24/255"
defense = "none"
attack = {attacks}
[training]
epochs = 1
batch = 8
"""

WAYS: Final = (("local", 1), ("local", 2), ("ray", 2))

RUN: Final = """
import json, sys, time
import hashbench
from hashbench import Reporter

class Clock(Reporter):
    first = last = trained = 0.0
    label = ""

    def advanced(self, step, done, total):
        self.first = self.first or time.monotonic()

    def finished(self, step, seconds):
        self.last = time.monotonic()
        if not self.label:
            self.trained, self.label = self.last, step.label

    def failed(self, step, reason, dropped):
        sys.exit(f"{step.label}: {reason}")

if __name__ == "__main__":
    suite, out, engine, workers = sys.argv[1:]
    clock = Clock()
    results = hashbench.run(suite, out=out, engine=engine, workers=int(workers), reporter=clock)
    print(json.dumps([clock.last - clock.first, clock.last - clock.trained, clock.label]))
"""


@dataclass(frozen=True)
class Timed:
    """One run.

    Attributes:
        seconds: from the first step's first progress to the last one's end.
        whole: of the command.
        added: of the seconds after the first step, those that no step took by itself.
    """

    seconds: float
    whole: float
    added: float


def run(suite: Path, folder: Path, engine: str, workers: int) -> Timed:
    """Run a suite from nothing, in a process of its own."""
    out = folder / f"out-{time.monotonic_ns()}"
    began = time.monotonic()
    words = [sys.executable, "-P", str(folder / "run.py"), str(suite), str(out), engine]
    said = subprocess.run([*words, str(workers)], check=True, capture_output=True, text=True).stdout
    whole = time.monotonic() - began
    seconds, after, label = json.loads(said.splitlines()[-1])
    records = [json.loads(path.read_text()) for path in out.glob("artifacts/*/*/done.json")]
    made = sum(float(one.get("seconds", 0)) for one in records if one.get("label") != label)
    return Timed(seconds, whole, after - made)


def throughput(folder: Path, cells: int, epochs: int, rounds: int) -> None:
    """Cells per minute with two workers, as ratios to one."""
    suite = folder / "real.toml"
    lengths = [8 * (1 + at) for at in range(max(1, cells // 4))]  # each with 3 attacks and clean
    suite.write_text(REAL.format(bits=lengths, epochs=epochs))
    count = 4 * len(lengths)
    found: dict[tuple[str, int], list[Timed]] = {way: [] for way in WAYS}
    for _ in range(rounds):
        for way in WAYS:
            found[way].append(run(suite, folder, *way))
    base = found[WAYS[0]]
    for way in WAYS:
        here = found[way]
        print(
            f"{way[0]} {way[1]}: {60 * count / median([one.seconds for one in here]):.1f} cells a "
            f"minute, {_ratio(base, here):.2f} times local 1 "
            f"(whole command: {median([one.whole for one in here]):.1f} s, "
            f"{median([b.whole / h.whole for b, h in zip(base, here, strict=True)]):.2f})"
        )


def overhead(folder: Path, cells: int, rounds: int) -> None:
    """Milliseconds that an engine adds to a cell."""
    suite = folder / "small.toml"
    attacks = [f"hag:steps={1 + at}" for at in range(cells - 1)]
    suite.write_text(SMALL.format(plugin=TINY, attacks=json.dumps(attacks)))
    for engine in ("local", "ray"):
        added = []
        for _ in range(rounds):
            timed = run(suite, folder, engine, 1)
            added.append(1000 * timed.added / cells)
        print(f"{engine} 1: {median(added):.0f} ms a tiny cell beyond its steps' own time")


def _ratio(base: Sequence[Timed], here: Sequence[Timed]) -> float:
    return median([one.seconds / other.seconds for one, other in zip(base, here, strict=True)])


def main() -> None:
    """Measure both, and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cells", type=int, default=24)
    parser.add_argument("--tiny", type=int, default=60)
    parser.add_argument("--epochs", type=int, default=6)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "run.py").write_text(RUN)
        throughput(folder, asked.cells, asked.epochs, asked.rounds)
        overhead(folder, asked.tiny, asked.rounds)


if __name__ == "__main__":
    main()
