"""How fast retrieval is scored, next to what others do: run it and read the table.

    python benchmarks/speed/retrieval.py [--only ap bare growth threads centers] [--rounds N]

Every side is pinned to one thread and takes its turn in alternating rounds; what is shown is the
median over the rounds of the ratio within a round, so that a busy machine slows all sides alike.
Packing and checking the inputs count as ours. Peers are written from their description; faiss,
torchmetrics and numba take part where they are installed. Reads label lists of FLICKR-25K where
they lie beside the checkout, writes nothing.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import os
import statistics
import sys
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hashbench.retrieval import (
    Scorer,
    Shard,
    average_precision,
    center_codes,
    mean_average_precision,
    pack_codes,
)

Side = Callable[[], object]
# Thread pools read these when their library is loaded.
PINS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
LISTS = Path(__file__).resolve().parents[2] / "../shared/data/lists/FLICKR-25K"


@dataclass(frozen=True)
class Size:
    """A data set's size: items in the database, classes, mean labels of an image, bits."""

    name: str
    items: int
    classes: int
    labels: float
    bits: int


SIZES = (
    Size("NUS-WIDE", 193_734, 21, 2.4, 32),
    Size("NUS-WIDE", 193_734, 21, 2.4, 64),
    Size("MS-COCO", 117_218, 80, 2.9, 32),
    Size("FLICKR-25K", 18_000, 38, 4.7, 32),
)


@dataclass(frozen=True)
class Data:
    """float32 codes of -1 and +1 and int64 labels, as the papers' code holds them."""

    query_codes: Any
    codes: Any
    query_labels: Any
    labels: Any

    def first(self, queries: int) -> Data:
        """The same database with the first queries only."""
        few = slice(queries)
        return Data(self.query_codes[few], self.codes, self.query_labels[few], self.labels)

    def float_labels(self) -> Data:
        """The same with float32 labels, which BLAS multiplies."""
        return Data(
            self.query_codes,
            self.codes,
            self.query_labels.astype(np.float32),
            self.labels.astype(np.float32),
        )


def make_data(size: Size, queries: int, seed: int = 0) -> Data:
    """Class-dependent codes with noise, labels with a few frequent and many rare classes."""
    rng = np.random.default_rng(seed)
    frequency = rng.random(size.classes) ** 2
    frequency = np.minimum(0.6, frequency * size.labels / frequency.sum())
    prototypes = rng.standard_normal((size.classes, size.bits))

    def draw(count: int) -> tuple[Any, Any]:
        labels = (rng.random((count, size.classes)) < frequency).astype(np.int64)
        outputs = labels @ prototypes + 1.5 * rng.standard_normal((count, size.bits))
        return np.where(outputs >= 0, 1, -1).astype(np.float32), labels

    query_codes, query_labels = draw(queries)
    codes, labels = draw(size.items)
    return Data(query_codes, codes, query_labels, labels)


def field_loop(data: Data, top_k: int | None = None) -> float:
    """What the papers' evaluation does for each query, with its unstable sort of floats."""
    total, bits = 0.0, data.codes.shape[1]
    for code, label in zip(data.query_codes, data.query_labels, strict=True):
        relevant = (np.dot(label, data.labels.T) > 0).astype(np.float32)
        order = np.argsort(0.5 * (bits - np.dot(code, data.codes.T)))
        relevant = relevant[order][:top_k]
        count = int(relevant.sum())
        if count:
            ranks = np.asarray(np.where(relevant == 1)[0]) + 1.0
            total += float(np.mean(np.linspace(1, count, count) / ranks))
    return total / len(data.query_codes)


def torch_matmul(data: Data) -> float:
    """One product for the distances, one for the relevance, a stable sort, a gather."""
    codes, labels = torch.from_numpy(data.codes), torch.from_numpy(data.labels).float()
    query_labels = torch.from_numpy(data.query_labels).float()
    distance = data.codes.shape[1] - torch.from_numpy(data.query_codes) @ codes.T
    order = torch.argsort(distance, dim=1, stable=True)
    relevant = (query_labels @ labels.T > 0).gather(1, order).double()
    precision = relevant.cumsum(1) / torch.arange(1, codes.shape[0] + 1)
    return float(((precision * relevant).sum(1) / relevant.sum(1).clamp(min=1)).mean())


def faiss_search(data: Data) -> float:
    """A complete search of packed codes, then the precision at each hit."""
    faiss = importlib.import_module("faiss")
    faiss.omp_set_num_threads(1)
    index = faiss.IndexBinaryFlat(data.codes.shape[1])
    index.add(np.packbits(data.codes > 0, axis=1))
    _, order = index.search(np.packbits(data.query_codes > 0, axis=1), data.codes.shape[0])
    labels = data.labels.astype(np.float32)
    total = 0.0
    for label, ranking in zip(data.query_labels, order, strict=True):
        ranks = np.flatnonzero((labels @ label.astype(np.float32) > 0)[ranking]) + 1
        total += float((np.arange(1, ranks.size + 1) / ranks).mean()) if ranks.size else 0.0
    return total / len(data.query_codes)


def torchmetrics_map(data: Data) -> float:
    """``RetrievalMAP`` fed with minus the distances."""
    retrieval = importlib.import_module("torchmetrics.retrieval")
    queries, items = data.query_codes.shape[0], data.codes.shape[0]
    score = torch.from_numpy(data.query_codes @ data.codes.T)
    target = torch.from_numpy(data.query_labels @ data.labels.T > 0)
    metric = retrieval.RetrievalMAP()
    metric.update(
        score.reshape(-1), target.reshape(-1), torch.arange(queries).repeat_interleave(items)
    )
    return float(metric.compute())


def ours(data: Data, **options: Any) -> Side:
    """The mean average precision of this package, checks and packing included."""
    return lambda: mean_average_precision(
        data.query_codes, data.codes, data.query_labels, data.labels, **options
    )


def counted_by(kernel: str, data: Data) -> object:
    """Average precision with one kernel, checks and packing included."""
    shard = Shard(data.codes, data.labels)
    scorer = Scorer(data.query_codes, data.query_labels, shard, kernel=kernel)
    return scorer.average_precision()


def bare_pass(data: Data) -> Side:
    """Nothing but xor and popcount in numpy, on codes that are packed already."""
    word = np.dtype(f"u{data.codes.shape[1] // 8}")
    codes = pack_codes(data.codes).view(word)[:, 0]
    queries = pack_codes(data.query_codes).view(word)[:, 0]

    def run() -> None:
        for query in queries:
            np.bitwise_count(query ^ codes)

    return run


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


def chunked_matmul_centers(labels: Any, codes: Any, code_labels: Any) -> Any:
    """CgAT's formula for all queries, some rows at a time."""
    rows = []
    for start in range(0, labels.shape[0], 256):
        relevant = (labels[start : start + 256] @ code_labels.T > 0).astype(np.float32)
        positive = relevant.sum(1, keepdims=True)
        negative = code_labels.shape[0] - positive
        rows.append(np.sign(negative * (relevant @ codes) - positive * ((1 - relevant) @ codes)))
    return np.concatenate(rows)


def centers(rounds: int) -> None:
    """Center codes against a product of label matrices, with the same result."""
    names = ("test_label.txt", "train_label.txt", "database_label.txt")
    if all((LISTS / name).exists() for name in names):
        source = "FLICKR-25K's labels"
        queries, train, database = (
            np.loadtxt(LISTS / name, dtype=np.float32, ndmin=2) for name in names
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
        centers(arguments.rounds)


if __name__ == "__main__":
    main()
