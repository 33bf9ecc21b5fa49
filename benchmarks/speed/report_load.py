"""How long a report of many cells takes, format by format: run it and read the table.

    python benchmarks/speed/report_load.py [--cells 1000 3000 10000] [--shape NAME ...]

Results are made up in memory, so that no folder is read: what is measured is a report alone. Each
shape has its cells in another place: many seeds, many defenses, many attacks, many radii, many
tables. Processor seconds of this process; the last column says how much longer ten times, or three
times, as many cells took: as many times is linear, the square of it is what a scan of all cells
for each of them costs. (The flags compare every radius of a model with all smaller ones: sixteen
radii stand here, more than a suite has.) Pictures are as many as the format draws by itself, 24.
Writes nothing.
"""

from __future__ import annotations

import argparse
import itertools
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

os.environ["NO_COLOR"] = "1"

from hashbench.data.protocol import Protocol
from hashbench.plugins import Access, Aim, Format, get, names
from hashbench.results.cell import CLEAN, AttackFacts, Cell, CellResult, Status
from hashbench.results.results import Results
from hashbench.results.selection import Selection, selected

FORMATS = (*(name for name in names("format") if name != "plots"), "plots")
LEVELS = tuple(np.linspace(0.1, 1.0, 10).tolist())
PROTOCOL = Protocol(
    dataset="fashion",
    train=2000,
    query=500,
    database=10000,
    classes=10,
    split="5" * 64,
    top_k=None,
)
TRAINING = "7" * 64


@dataclass(frozen=True)
class Shape:
    """How many of each there are, about `cells` in all.

    Attributes:
        name: what there are many of.
        sizes: from a number of cells to those of bits, defenses, attacks, radii and seeds.
    """

    name: str
    sizes: Callable[[int], tuple[int, int, int, int, int]]


SHAPES = (
    Shape("seeds", lambda cells: (1, 3, 6, 1, cells // 21)),
    Shape("defenses", lambda cells: (1, cells // 21, 6, 1, 3)),
    Shape("attacks", lambda cells: (1, 3, cells // 9, 1, 3)),
    Shape("radii", lambda cells: (1, 3, 6, 16, cells // 300)),
    Shape("tables", lambda cells: (cells // 63, 3, 6, 1, 3)),
)


def made_up(shape: Shape, cells: int, queries: int) -> Results:
    """Results of a shape; every value is drawn."""
    random = np.random.default_rng(0)
    found = tuple(_cells(shape.sizes(cells), queries, random))
    return Results(found, {PROTOCOL.hash: PROTOCOL}, {TRAINING: {}})


def _cells(
    sizes: tuple[int, int, int, int, int], queries: int, random: np.random.Generator
) -> Iterator[CellResult]:
    lengths, defenses, attacks, radii, seeds = sizes
    for bits, defense, seed in itertools.product(range(lengths), range(defenses), range(seeds)):
        for attack, radius in ((None, 0), *itertools.product(range(attacks), range(1, radii + 1))):
            cell = Cell(
                dataset="fashion",
                loss="csq",
                backbone="small-cnn",
                bits=bits + 1,
                defense=f"cgat:epochs={defense}",
                attack=CLEAN if attack is None else f"hag:steps={attack}",
                eps="0" if attack is None else f"{radius}/1000",
                seed=seed,
                protocol=PROTOCOL.hash,
                training=TRAINING,
            )
            per_query = random.uniform(0.2, 0.6, queries)
            value = float(per_query.mean())
            metrics = {"map": value, "map(ties=worst)": value - 0.1, "map(ties=best)": value + 0.1}
            metrics |= {"zero-gradients": 0.0, "forwards": 100.0, "backwards": 100.0}
            if attack is None:
                metrics |= {"chance": 0.1, "floor": 0.05, "distinct-codes": 900.0, "tied": 0.9}
            facts = AttackFacts("hag", Aim.UNTARGETED, Access.GRADIENT, parameters={"n": attack})
            yield CellResult(
                cell=cell,
                status=Status.DONE,
                metrics=metrics,
                recall=LEVELS,
                precision=LEVELS,
                per_query=per_query,
                attack=None if attack is None else facts,
                seconds=0.01,
            )


def seconds_of(task: Callable[[], object]) -> float:
    """Processor time of this process."""
    start = time.process_time()
    task()
    return time.process_time() - start


def select(results: Results) -> object:
    """A part of it."""
    return selected(results, Selection(attack=("hag:steps=1",), seed=("0",)))


def write(name: str, results: Results) -> object:
    """A report, from results that nothing was asked of before."""
    form = get("format", name)
    assert isinstance(form, Format)
    fresh = Results(results.cells, results.protocols, results.trainings)
    return form.files(fresh, width=80)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cells", type=int, nargs="+", default=[1000, 3000, 10000])
    parser.add_argument("--queries", type=int, default=100)
    names = [shape.name for shape in SHAPES]
    parser.add_argument("--shape", nargs="+", choices=names, default=names)
    parser.add_argument("--format", nargs="+", choices=FORMATS, default=FORMATS)
    given = parser.parse_args()
    sizes = sorted(given.cells)
    print(f"{'shape':10}{'what':12}", *(f"{size:>9,}" for size in sizes), "   growth")
    for shape in SHAPES:
        if shape.name not in given.shape:
            continue
        results = [made_up(shape, size, given.queries) for size in sizes]
        tasks: dict[str, Callable[[Results], object]] = {"select": select}
        for name in given.format:
            tasks[name] = partial(write, name)
        for name, task in tasks.items():
            took = [seconds_of(partial(task, one)) for one in results]
            growth = took[-1] / took[0] if took[0] > 0 else float("nan")
            times = " ".join(f"{value:9.2f}" for value in took)
            print(f"{shape.name:10}{name:12} {times} {growth:7.1f} x", flush=True)


if __name__ == "__main__":
    main()
