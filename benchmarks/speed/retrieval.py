"""How fast retrieval is scored, next to what others do: run it and read the table.

    python benchmarks/speed/retrieval.py [--only ap bare growth threads centers] [--rounds N]
        [--lists FOLDER]

Every side is pinned to one thread and takes its turn in alternating rounds; what is shown is the
median over the rounds of the ratio within a round, so that a busy machine slows all sides alike.
Packing and checking the inputs count as ours. Peers are written from their description; faiss,
torchmetrics and numba take part where they are installed. `--lists FOLDER` takes the label lists of
FLICKR-25K from there for the center codes. Writes nothing.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import statistics
import sys
import time
import tracemalloc
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from hashbench.benchmarks.speed.retrieval_sides import (
    SIZES,
    Side,
    Size,
    bare_pass,
    chunked_matmul_centers,
    counted_by,
    faiss_search,
    field_loop,
    make_data,
    ours,
    torch_matmul,
    torchmetrics_map,
)
from hashbench.retrieval import Scorer, Shard, average_precision, center_codes, pack_codes

# Thread pools read these when their library is loaded.
PINS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")


def race(sides: dict[str, tuple[Side, int]], rounds: int) -> dict[str, list[float]]:
    """Seconds per unit of work of each side in each round; sides take turns, order alternates."""
    for side, _ in sides.values():
        side()
    times: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds):
        names = list(sides) if number % 2 == 0 else list(sides)[::-1]
        for name in names:
            side, units = sides[name]
            start = time.perf_counter()
            side()
            times[name].append((time.perf_counter() - start) / units)
    return times


def ratio(times: dict[str, list[float]], slow: str, fast: str) -> float:
    """Median over the rounds of the ratio within a round."""
    return statistics.median(a / b for a, b in zip(times[slow], times[fast], strict=True))


def installed(module: str) -> bool:
    """Whether a peer is there."""
    return importlib.util.find_spec(module) is not None


# Which of our sides a peer is measured against, where that is not 'expected' with int64 labels.
RIVALS = {
    "field's loop, int64 labels": {"ours, expected": "{:.1f}x", "ours, stable": "({:.1f})"},
    "field's loop, top 5000": {"ours, stable, top 5000": "({:.1f})"},
    "field's loop, float32 labels": {"ours, expected, float labels": "{:.1f}x"},
}


def average_precision_table(rounds: int, queries: int) -> None:
    """Everybody at every size."""
    print(f"\nAverage precision, {queries} queries; peers on a part of them. Times per query.")
    print("'x ours': time of the peer / time of ours under 'expected' (of 'stable' in brackets)\n")
    head = f"{'':34}"
    rows: dict[str, list[str]] = {}
    for size in SIZES:
        head += f"{f'{size.name} K={size.bits}':>25}"
        data = make_data(size, queries)
        floats = data.float_labels()
        part = max(4, min(queries, 2_000_000 // size.items))
        few = data.first(part)
        sides: dict[str, tuple[Side, int]] = {
            "ours, expected": (partial(counted_by, "numpy", data), queries),
            "ours, expected, float labels": (partial(counted_by, "numpy", floats), queries),
            "ours, stable": (ours(data, ties="stable"), queries),
            "ours, stable, top 5000": (ours(data, ties="stable", top_k=5000), queries),
            "ours, expected, top 5000": (ours(data, top_k=5000), queries),
            "bare xor + popcount": (bare_pass(data), queries),
            "field's loop, int64 labels": (partial(field_loop, few), part),
            "field's loop, float32 labels": (partial(field_loop, floats.first(part)), part),
            "field's loop, top 5000": (partial(field_loop, few, 5000), part),
            "torch matmul + stable argsort": (partial(torch_matmul, few), part),
        }
        if installed("faiss"):
            sides["faiss k=N, then AP"] = (partial(faiss_search, few), part)
        if installed("torchmetrics"):
            sides["torchmetrics RetrievalMAP"] = (partial(torchmetrics_map, data.first(4)), 4)
        if installed("numba"):
            sides["ours, expected, compiled"] = (partial(counted_by, "compiled", data), queries)
        times = race(sides, rounds)
        for name in sides:
            cell = f"{1e3 * statistics.median(times[name]):.3f} ms"
            if name in RIVALS or not name.startswith(("ours", "bare")):
                cell += " " + " ".join(
                    form.format(ratio(times, name, mine))
                    for mine, form in RIVALS.get(name, {"ours, expected": "{:.1f}x"}).items()
                )
            rows.setdefault(name, []).append(cell)
        for name in ("ours, expected", "ours, expected, compiled"):
            if name in sides:
                rows.setdefault(f"{name} / bare pass", []).append(
                    f"{ratio(times, name, 'bare xor + popcount'):.2f}"
                )
    print(head)
    for name, cells in rows.items():
        print(f"{name:34}" + "".join(f"{cell:>25}" for cell in cells))


def bare_table(rounds: int) -> None:
    """Average precision against a bare pass, for few queries and for about NUS-WIDE's 2,100.

    Checking, packing and the class masks cost the same for any number of queries.
    """
    print("\nAverage precision, expected, over one bare xor + popcount pass over the same pairs")
    for size in (*SIZES[:3], replace(SIZES[2], bits=64)):
        ratios = []
        for queries in (400, 2_000):
            data = make_data(size, queries)
            sides: dict[str, tuple[Side, int]] = {
                "numpy": (partial(counted_by, "numpy", data), 1),
                "bare": (bare_pass(data), 1),
            }
            if installed("numba"):
                sides["compiled"] = (partial(counted_by, "compiled", data), 1)
            times = race(sides, rounds)
            found = [f"{name} {ratio(times, name, 'bare'):.2f}" for name in sides if name != "bare"]
            ratios.append(f"{', '.join(found)} ({queries:,} queries)")
        print(f"{f'{size.name} K={size.bits}':20} " + "; ".join(ratios))


def peak_mb(side: Side) -> float:
    """The most memory that arrays and objects made by one call hold at a time."""
    tracemalloc.start()
    side()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak / 2**20


def growth(rounds: int, queries: int, largest: int) -> None:
    """Time per pair and memory above the inputs, for packed codes."""
    print(f"\nGrowth, {queries} queries, 64 bits, 21 classes, inputs packed")
    size = Size("", 1, 21, 2.4, 64)
    data = make_data(size, queries)
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 256, (largest, 8), dtype=np.uint8)
    labels = rng.integers(0, 256, (largest, 3), dtype=np.uint8)
    labels[:, 0] &= rng.integers(0, 256, largest, dtype=np.uint8)
    labels[:, 2] &= 0b00011111
    small = largest // 10

    def score(items: int) -> Side:
        shard = Shard(codes[:items], labels[:items])
        return lambda: Scorer(data.query_codes, data.query_labels, shard).average_precision()

    names = {f"{items:,}": (score(items), items * queries) for items in (small, largest)}
    times = race(names, rounds)
    for name, (_, pairs) in names.items():
        print(
            f"{name:>14} items {1e9 * statistics.median(times[name]):8.3f} ns per pair, {pairs:,}"
        )
    print(f"{'':14} ratio {ratio(times, f'{largest:,}', f'{small:,}'):8.2f}")
    print(f"{'':14} memory above the packed inputs {peak_mb(score(largest)):.0f} MB")


def threads(rounds: int, queries: int) -> None:
    """Two threads against one."""
    print(f"\nThreads, NUS-WIDE size, {queries} queries (an idle machine of two cores is needed)")
    data = make_data(SIZES[0], queries)
    shard = Shard(pack_codes(data.codes), data.labels)

    def score(count: int) -> Side:
        return lambda: Scorer(
            data.query_codes, data.query_labels, shard, threads=count
        ).average_precision()

    times = race({f"{count}": (score(count), 1) for count in (1, 2)}, rounds)
    print(f"two threads are {ratio(times, '1', '2'):.2f} times as fast as one")


def centers(rounds: int, lists: Path | None) -> None:
    """Center codes against a product of label matrices, with the same result."""
    names = ("test_label.txt", "train_label.txt", "database_label.txt")
    if lists is not None:
        source = "FLICKR-25K's labels"
        queries, train, database = (
            np.loadtxt(lists / name, dtype=np.float32, ndmin=2) for name in names
        )
    else:
        source = "random labels of FLICKR-25K's size"
        data = make_data(Size("", 23_300, 38, 4.7, 32), 1_700).float_labels()
        queries, train, database = data.query_labels, data.labels[:5_000], data.labels
    print(f"\nCenter codes, 32 bits, {source}")
    rng = np.random.default_rng(0)
    for name, asked, given in (
        ("1,700 queries, 5,000 training codes", queries, train),
        ("1,700 queries, 23,300 database codes", queries, database),
        ("5,000 training images, 5,000 training codes", train, train),
    ):
        codes = rng.choice(np.array([-1, 1], dtype=np.float32), (given.shape[0], 32))
        mine = center_codes(asked, codes, given)
        if not np.array_equal(mine, chunked_matmul_centers(asked, codes, given)):
            sys.exit("the two sides disagree")
        times = race(
            {
                "ours": (partial(center_codes, asked, codes, given), 1),
                "matmul": (partial(chunked_matmul_centers, asked, codes, given), 1),
            },
            rounds,
        )
        milliseconds = 1e3 * statistics.median(times["ours"])
        print(f"{name:46} {milliseconds:8.2f} ms, {ratio(times, 'matmul', 'ours'):6.1f}x a matmul")


def agreement(queries: int) -> None:
    """All peers compute the same thing: without ties they agree with ours."""
    data = make_data(Size("", 3_000, 21, 2.4, 512), queries)
    unique = average_precision(
        data.query_codes, data.codes, data.query_labels, data.labels, ties="stable"
    ).mean()
    for peer in (field_loop, torch_matmul):
        if abs(peer(data) - unique) > 0.01:
            sys.exit(f"{peer.__name__} does not compute the same measure")


def main() -> None:
    """Parse the command line, pin the threads, run what was asked for."""
    if any(os.environ.get(name) != "1" for name in PINS):
        environment = os.environ | dict.fromkeys(PINS, "1")
        os.execve(sys.executable, [sys.executable, *sys.argv], environment)  # noqa: S606
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n", maxsplit=1)[0])
    parts = ("ap", "bare", "growth", "threads", "centers")
    parser.add_argument("--only", nargs="+", choices=parts, default=parts)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--queries", type=int, default=400)
    parser.add_argument("--largest", type=int, default=10_000_000, help="items of the growth run")
    parser.add_argument("--lists", type=Path, metavar="FOLDER", help="FLICKR-25K's label lists")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    agreement(20)
    if "ap" in arguments.only:
        average_precision_table(arguments.rounds, arguments.queries)
    if "bare" in arguments.only:
        bare_table(arguments.rounds)
    if "growth" in arguments.only:
        growth(3, 100, arguments.largest)
    if "threads" in arguments.only:
        threads(arguments.rounds, arguments.queries)
    if "centers" in arguments.only:
        centers(arguments.rounds, arguments.lists)


if __name__ == "__main__":
    main()
