"""How long TPR at FPR over a billion pairs takes: run it and read the table.

    python benchmarks/speed/verification.py [--codes 32000] [--bits 256] [--threads 2] [--rounds 3]

Random codes, and as many again in which a few bits of each are turned: each of these is compared
with each of the others. What is timed begins with codes of bool and ends with the rates, packing
included; a code and what was made of it are no strangers and are counted apart. First the answers
are compared with those of every pair looked at one by one, on a small set.

The sides take turns in alternating rounds: ours with numba and with numpy alone, and products of
float32 matrices in blocks, by numpy's BLAS, with a histogram of each block. All have as many
threads as are asked for, two by default; the seconds of the processor are those of all threads.
Compiling takes some seconds once per process and is told apart. Writes nothing.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import numpy as np

from hashbench.retrieval import Verification, distance_histogram, pair_distances

# Thread pools read these when their library is loaded.
POOLS: Final = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
RATES: Final = (1e-3, 1e-4, 1e-5, 1e-6)
ROWS: Final = 1_000
"""Rows and columns of a block of the products."""

Side = Callable[[], Verification]


def planted(count: int, bits: int, seed: int = 0) -> tuple[Any, Any]:
    """Codes ``(count, bits)``, and the same with a share of the bits turned, another for each."""
    rng = np.random.default_rng(seed)
    codes = rng.random((count, bits)) < 0.5
    share = 0.5 * rng.random((count, 1)) ** 2
    return codes, codes ^ (rng.random((count, bits)) < share)


def ours(codes: Any, changed: Any, *, kernel: str, threads: int) -> Verification:
    """By `hashbench.retrieval`."""
    own = np.arange(len(codes))
    same = np.bincount(pair_distances(changed, codes), minlength=codes.shape[1] + 1)
    other = distance_histogram(
        changed, codes, query_groups=own, database_groups=own, threads=threads, kernel=kernel
    )
    return Verification(same, other)


def products(codes: Any, changed: Any) -> Verification:
    """By products of matrices, a block of distances at a time."""
    bits = codes.shape[1]
    left, right = (np.where(side, 1, -1).astype(np.float32) for side in (changed, codes))
    every = np.zeros(bits + 1, dtype=np.int64)
    same = np.zeros(bits + 1, dtype=np.int64)
    for start in range(0, len(left), ROWS):
        rows = slice(start, start + ROWS)
        for column in range(0, len(right), ROWS):
            columns = slice(column, column + ROWS)
            distance = ((bits - left[rows] @ right[columns].T) / 2).astype(np.uint16)
            every += np.bincount(distance.ravel(), minlength=bits + 1)
            if start == column:
                same += np.bincount(distance.diagonal(), minlength=bits + 1)
    return Verification(same, every - same)


def one_by_one(codes: Any, changed: Any) -> Verification:
    """Every pair, looked at one by one."""
    counts = np.zeros((2, codes.shape[1] + 1), dtype=np.int64)
    for i, query in enumerate(changed):
        for j, code in enumerate(codes):
            counts[int(i != j), int((query != code).sum())] += 1
    return Verification(*counts)


def check(bits: int, kernels: tuple[str, ...], threads: int) -> None:
    """Leave with a sentence where a small set is not counted exactly."""
    codes, changed = planted(300, bits, seed=1)
    true = one_by_one(codes, changed)
    found = {kernel: ours(codes, changed, kernel=kernel, threads=threads) for kernel in kernels}
    for name, pairs in (found | {"products": products(codes, changed)}).items():
        if pairs.same.tolist() != true.same.tolist() or pairs.other.tolist() != true.other.tolist():
            sys.exit(f"{name} does not count what is there")
    for rate in RATES:
        allowed = [t for t in range(-1, bits + 1) if true.fpr(t) <= rate]
        if true.tpr_at_fpr(rate) != max(true.tpr(t) for t in allowed):
            sys.exit(f"the TPR at an FPR of {rate:g} is another one")
    print(f"exact on {len(codes):,} x {len(codes):,} codes of {bits} bits: {', '.join(found)}")


def timed(side: Side) -> tuple[float, float, Verification]:
    """Seconds on the clock, seconds of the processor, and what was counted."""
    clock, processor = time.perf_counter(), time.process_time()
    pairs = side()
    for rate in RATES:
        pairs.tpr_at_fpr(rate)
    return time.perf_counter() - clock, time.process_time() - processor, pairs


def main() -> None:
    """Parse the command line, set the threads, check, race, print."""
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n", maxsplit=1)[0])
    parser.add_argument("--codes", type=int, default=32_000)
    parser.add_argument("--bits", type=int, default=256)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    threads = str(asked.threads)
    if any(os.environ.get(name) != threads for name in POOLS):
        environment = os.environ | dict.fromkeys(POOLS, threads)
        os.execve(sys.executable, [sys.executable, *sys.argv], environment)  # noqa: S606
    fast = importlib.util.find_spec("numba") is not None
    kernels = ("compiled", "numpy") if fast else ("numpy",)
    start = time.perf_counter()
    check(asked.bits, kernels, asked.threads)
    print(f"the check, and compiling where there is numba: {time.perf_counter() - start:.1f} s")
    codes, changed = planted(asked.codes, asked.bits)
    sides: dict[str, Side] = {
        f"ours, {kernel}": partial(ours, codes, changed, kernel=kernel, threads=asked.threads)
        for kernel in kernels
    }
    sides["products of matrices"] = partial(products, codes, changed)
    clock: dict[str, list[float]] = {name: [] for name in sides}
    processor: dict[str, list[float]] = {name: [] for name in sides}
    counts = set()
    for number in range(asked.rounds):
        for name in list(sides) if number % 2 == 0 else list(sides)[::-1]:
            seconds, busy, pairs = timed(sides[name])
            clock[name].append(seconds)
            processor[name].append(busy)
            counts.add((pairs.same.tobytes(), pairs.other.tobytes()))
    if len(counts) != 1:
        sys.exit("the sides disagree")
    print(f"\n{asked.codes**2:,} pairs of {asked.bits} bits, {asked.threads} threads")
    print(f"{'medians':24}{'seconds':>10}{'CPU seconds':>14}{'x first, CPU':>14}")
    first = processor[next(iter(sides))]
    for name in sides:
        ratios = (a / b for a, b in zip(processor[name], first, strict=True))
        print(
            f"{name:24}{statistics.median(clock[name]):>10.2f}"
            f"{statistics.median(processor[name]):>14.2f}{statistics.median(ratios):>14.2f}"
        )
    print("TPR at FPR " + ", ".join(f"{rate:g}: {pairs.tpr_at_fpr(rate):.4f}" for rate in RATES))


if __name__ == "__main__":
    main()
