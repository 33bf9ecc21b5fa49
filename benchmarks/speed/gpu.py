"""How busy a GPU is: hashbench beside bare loops with everything on the device already.

    python benchmarks/speed/gpu.py [--device cuda] [--net alexnet ...] [--rounds N] [--runs]
    python benchmarks/speed/gpu.py --device cpu      # small sizes, one thread, about a minute

`--precision tf32` measures both sides in it; `--workers` is that of the suites that `--runs` runs.

Queries through `pgd-hamming`, images through a base training and a CgAT training, pairs through
average precision: each beside the shortest loop that does the same in the same precision, with its
data on the device before the clock starts, in alternation; medians of the rounds. Bar: 0.9 of the
bare loop. Then how often a step waits for the device (0), and with `--runs` the seconds of the
quick suite from nothing (bar 25) and the minutes of `cifar10-mini` (bar 8).
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from hashbench import plugins
from hashbench.attacking import Attacker, Known, Threat, run_attack
from hashbench.benchmarks.speed.bare_loops import (
    BITS,
    LARGE,
    RADIUS,
    SMALL,
    WORKS,
    Bench,
    cgat_of,
    loss_of,
    ranking,
    rows_of,
    trained,
)
from hashbench.hashing import Objective
from hashbench.hashing.trainer import PlainObjective
from hashbench.plugins import Attack
from hashbench.runner.determinism import exact
from hashbench.testing.waits import waits


def race(
    bench: Bench,
    work: Callable[[Bench], tuple[Callable[[], object], Callable[[], object], float]],
    rounds: int,
) -> tuple[float, float, float]:
    """Ours and bare per second, and the median ratio of the rounds, taken in alternation."""
    ours, bare, amount = work(bench)
    ours(), bare()  # warm-up
    times = [(bench.seconds(ours), bench.seconds(bare)) for _ in range(rounds)]
    mine, theirs = (statistics.median(side) for side in zip(*times, strict=True))
    ratio = statistics.median(other / own for own, other in times)
    return amount / mine, amount / theirs, ratio


def waiting(bench: Bench) -> dict[str, float]:
    """How often one step more waits for the device, by what it is a step of.

    Each is run once before it is counted: the first run pays for what is made once in a process.
    """
    found: dict[str, float] = {}
    few, many = 3, 13
    pixels, rows = bench.pixels(8), rows_of(8)
    codes = np.where(np.random.default_rng(1).random((8, BITS)) < 0.5, -1, 1).astype(np.int8)
    known, model = Known.of(rows, codes, codes, rows), bench.model()
    for name in ("pgd-hamming", "hag", "sdha", "smooth-ap"):
        counts = []
        for steps in (few, few, many):
            attack = plugins.get("attack", name, steps=steps)
            if not isinstance(attack, Attack):
                raise TypeError(f"{name} is no attack")
            with waits() as counted:
                run_attack(
                    attack, model, pixels, Attacker(known), Threat(RADIUS), range(8), batch=8
                )
            counts.append(counted.total())
        found[name] = (counts[2] - counts[1]) / (many - few)
    count = 48
    for name in ("base", "cgat"):
        counts = []
        for batch in (16, 16, 4):
            model = bench.model()
            objective: Objective = PlainObjective(model, loss_of(bench, count))
            if name == "cgat":
                objective = cgat_of(bench, model, count, 2)
            with waits() as counted:
                trained(bench, model, objective, count, batch)
            counts.append(counted.total())
        found[f"{name} training"] = (counts[2] - counts[1]) / (count / 4 - count / 16)
    return found


def run_seconds(suite: str, device: str, workers: int) -> float:
    """How long `hashbench run` takes from nothing."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "hashbench", "run", suite, "--device", device]
        began = time.perf_counter()
        subprocess.run(
            [*command, "--workers", str(workers), "--out", str(Path(folder) / "results")],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        return time.perf_counter() - began


def main() -> None:
    """Print the table; exit 1 where a step waits."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--net", action="append")
    parser.add_argument("--precision", choices=("float32", "tf32"), default="float32")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--runs", action="store_true", help="run the suites too")
    parser.add_argument("--workers", type=int, default=4)
    options = parser.parse_args()
    on_cpu = options.device == "cpu"
    if not on_cpu and not torch.cuda.is_available():
        sys.exit("torch finds no CUDA device here: --device cpu runs at small size")
    if on_cpu:
        torch.set_num_threads(1)
    device = torch.device(options.device)
    nets = options.net or (["small-cnn"] if on_cpu else ["alexnet", "vgg11", "resnet50"])
    sizes = SMALL if on_cpu else LARGE
    name = "one CPU thread" if on_cpu else torch.cuda.get_device_name()
    print(f"{name}, torch {torch.__version__}, {options.precision}, {options.rounds} rounds")
    print(f"{'':12}{'':28}{'ours':>14}{'bare':>14}{'ratio':>8}")
    most = 0.0
    with exact(options.device, options.precision):
        for net in nets:
            bench = Bench(net, device, sizes)
            for what, work in WORKS.items():
                if work is ranking and net != nets[0]:
                    continue
                ours, bare, ratio = race(bench, work, options.rounds)
                print(f"{net:12}{what:28}{ours:14,.0f}{bare:14,.0f}{ratio:8.2f}", flush=True)
        print("waits for the device per step")
        for what, count in waiting(Bench(nets[0], device, sizes)).items():
            print(f"{what:40}{count:14.2f}")
            most = max(most, count)
    if options.runs:
        quick = run_seconds("quick", options.device, options.workers)
        print(f"{'quick suite from nothing, s':40}{quick:14.1f}", flush=True)
        mini = run_seconds("cifar10-mini", options.device, options.workers)
        print(f"{'cifar10-mini, minutes':40}{mini / 60:14.1f}")
    sys.exit(1 if most > 0 else 0)


if __name__ == "__main__":
    main()
