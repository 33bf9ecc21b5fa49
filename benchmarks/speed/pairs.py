"""How many pairs of a query and a database code a device counts in a second.

    python benchmarks/speed/pairs.py [--device cuda] [--queries N] [--items N] [--rounds N]

NUS-WIDE's size by default: 193,734 packed codes of 32 bits with 21 classes. The counts are compared
with numpy's first. On a GPU the time holds the upload of the database and the way back of the
counts; the fused kernel and the matrix products that stand in for it are timed apart.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch

from hashbench.retrieval import Scorer, Shard
from hashbench.retrieval.database import PackedDatabase, open_shards
from hashbench.retrieval.packing import codes_to_bytes, labels_to_bytes
from hashbench.retrieval.queries import group_queries
from hashbench.retrieval.tally import Tally
from hashbench.retrieval.tensors import TensorDatabase

BITS, CLASSES = 32, 21


def random_rows(rng: np.random.Generator, rows: int, columns: int, share: float) -> np.ndarray:
    """Packed rows of bits."""
    return np.packbits(rng.random((rows, columns)) < share, axis=1, bitorder="little")


def ways(device: torch.device, queries: int, items: int) -> dict[str, Callable[[], Tally]]:
    """The ways to count on a device, by name; the first is the one that a scorer takes."""
    rng = np.random.default_rng(0)
    codes, labels = random_rows(rng, items, BITS, 0.5), random_rows(rng, items, CLASSES, 0.1)
    asked = rng.choice(np.array([-1, 1], np.int8), (queries, BITS))
    asked_labels = (rng.random((queries, CLASSES)) < 0.1).astype(np.int64)
    shard = Shard(codes, labels)

    def scored() -> Tally:
        chosen = None if device.type == "cpu" else device
        return Scorer(asked, asked_labels, shard, device=chosen).tally

    found: dict[str, Callable[[], Tally]] = {"scorer": scored}
    if device.type != "cpu":
        grouped = group_queries(
            codes_to_bytes(asked, "codes", BITS),
            labels_to_bytes(asked_labels, "labels", CLASSES),
            BITS,
        )
        packed = PackedDatabase(open_shards(shard, BITS, CLASSES), BITS, CLASSES)
        found["matrix products"] = lambda: TensorDatabase(packed, device).tally(grouped)
    return found


def pairs_per_second(
    device: str | torch.device,
    *,
    queries: int = 5_000,
    items: int = 193_734,
    rounds: int = 5,
) -> dict[str, float]:
    """Pairs counted in a second, by way; medians over rounds in which the ways take turns.

    Raises RuntimeError where a way's counts are not numpy's.
    """
    sides = ways(torch.device(device), queries, items)
    few = ways(torch.device("cpu"), 20, items)["scorer"]()
    for name, side in ways(torch.device(device), 20, items).items():
        tally = side()
        if not (
            np.array_equal(tally.total, few.total) and np.array_equal(tally.relevant, few.relevant)
        ):
            raise RuntimeError(f"{name} on {device} does not count what numpy counts")
    times: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds + 1):  # the first round warms up
        for name, side in sides.items():
            start = time.perf_counter()
            side()
            if number:
                times[name].append(time.perf_counter() - start)
    return {name: queries * items / statistics.median(spent) for name, spent in times.items()}


def main() -> None:
    """Parse the command line and print one line for each way."""
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n", maxsplit=1)[0])
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--queries", type=int, default=5_000)
    parser.add_argument("--items", type=int, default=193_734)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    found = pairs_per_second(
        given.device, queries=given.queries, items=given.items, rounds=given.rounds
    )
    for name, speed in found.items():
        print(f"{given.device:8} {name:16} {speed:.3g} pairs/s, {1e9 / speed:.3f} ns a pair")


if __name__ == "__main__":
    main()
