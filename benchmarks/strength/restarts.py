"""What attacks leave, beside a yardstick that is restarted and given five times the steps.

    python benchmarks/strength/restarts.py [--dataset outfits --defense cgat --seed 0 ...]
        [--yardstick pgd-hamming --steps 500 --restarts 5] [--out FOLDER]
    python benchmarks/strength/restarts.py --model FOLDER [--model FOLDER ...]

For every model: the mAP that each single attack leaves, `auto` among them, and that of the
per-query worst over the yardstick's restarts; then the mean over the seeds. Models and single cells
come from a store, so that a second call goes on where the first one stopped; restarts are made
anew. Five restarts of 500 steps on 500 queries of the quick suite take about three CPU-minutes;
with `--queries 150` all numbers are over the first 150 queries.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import hashbench
from hashbench import plugins
from hashbench.attacking import Attacker, Known, Threat, run_attack
from hashbench.plugins import Attack
from hashbench.results.artifacts import CODES
from hashbench.results.cell import Cell
from hashbench.results.store import Store
from hashbench.retrieval import average_precision, center_codes
from hashbench.runner.determinism import torch_threads
from hashbench.runner.evaluation_steps import AdversarialCodes
from hashbench.runner.loading import cell_seed, data_of, load_model, read_npz
from hashbench.runner.plan import make_plan
from hashbench.runner.reporter import Reporter
from hashbench.runner.run import run_plan
from hashbench.runner.steps import ModelCodes
from hashbench.runner.suite import Suite, compose

SINGLE = ("auto", "smooth-ap", "smooth-ap:steps=20", "pgd-hamming", "mainstay", "hag", "sdha")


def main() -> None:
    """Print one line per model, then the means."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--dataset", action="append")
    parser.add_argument("--defense", action="append")
    parser.add_argument("--seed", action="append", type=int)
    parser.add_argument("--model", action="append")
    parser.add_argument("--attack", action="append")
    parser.add_argument("--yardstick", default="pgd-hamming")
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--restarts", type=int, default=5)
    parser.add_argument("--queries", type=int, default=None)
    parser.add_argument("--out", type=Path, default=Path("results"))
    options = parser.parse_args()
    models = (
        {"model": options.model}
        if options.model
        else {
            "dataset": options.dataset or ["fashion", "outfits"],
            "defense": options.defense or ["none", "atrdh", "cgat", "saat"],
            "seed": options.seed or [0, 1, 2],
        }
    )
    suite = compose(None, {**models, "attack": options.attack or list(SINGLE)})
    yardstick = plugins.get("attack", options.yardstick, steps=options.steps)
    if not isinstance(yardstick, Attack):
        raise TypeError(f"{options.yardstick} is no attack")
    first = slice(options.queries)
    report(suite, yardstick, options.restarts, first, options.out)


def report(suite: Suite, yardstick: Attack, restarts: int, first: slice, out: Path) -> None:
    """Run what is missing, restart the yardstick, print the means over the first queries."""
    plan = make_plan(suite)
    results = run_plan(plan, out=out, reporter=Reporter())
    if results.failed:
        raise SystemExit(f"{len(results.failed)} cells failed: {results.failed[0].reason}")
    names = [str(spec) for spec in suite.attack]
    columns = [*names, *([f"{yardstick.card.name} {restarts}x"] if restarts else [])]
    print(f"{'model':28}" + "".join(f"{name:>20}" for name in columns), flush=True)
    found: dict[tuple[str, str], list[list[float]]] = {}
    models = {
        step.codes.key: step.codes for step in plan.steps if isinstance(step, AdversarialCodes)
    }
    for codes in models.values():
        cells = {
            planned.cell.attack: planned.cell
            for planned in plan.cells
            if planned.scores.codes.key == codes.key
        }
        row = [_value(results, cells[name], first) for name in names]
        cell = cells[names[0]]
        if restarts:
            eps = hashbench.Eps.parse(cell.eps)
            worst = restarted(codes, Store(out), yardstick, eps, restarts, first)
            row.append(100 * float(worst.mean()))
        _print(f"{cell.dataset} {cell.defense} seed {cell.seed}", row)
        found.setdefault((cell.dataset, cell.defense), []).append(row)
    for (dataset, defense), rows in found.items():
        _print(f"{dataset} {defense} mean", [statistics.fmean(c) for c in zip(*rows, strict=True)])


def restarted(
    codes: ModelCodes,
    store: Store,
    attack: Attack,
    eps: hashbench.Eps,
    restarts: int,
    first: slice,
) -> NDArray[np.float64]:
    """Per query the lowest average precision over the restarts of an attack."""
    setting = codes.model.setting
    data, clean = data_of(setting), read_npz(store, codes, CODES)
    labels, images = data.query.labels[first], data.query.images[first]
    centers = center_codes(labels, clean["train"], data.train.labels)
    attacker = Attacker(Known.of(labels, centers, clean["train"], data.train.labels))
    scores = []
    with torch_threads(setting.compute.threads):
        for restart in range(restarts):
            outcome = run_attack(
                attack,
                load_model(codes.model, store),
                images,
                attacker,
                Threat(eps),
                [
                    cell_seed(setting, "restart", restart, attack.card.name, query)
                    for query in range(len(images))
                ],
                batch=setting.compute.attack_batch,
            )
            database = clean["database"], labels, data.database.labels
            scores.append(average_precision(outcome.codes, *database))
    lowest: NDArray[np.float64] = np.minimum.reduce(scores)
    return lowest


def _value(results: hashbench.Results, cell: Cell, first: slice) -> float:
    (result,) = (result for result in results.cells if result.cell == cell)
    return 100 * float(result.per_query[first].mean())


def _print(name: str, values: Iterable[float]) -> None:
    print(f"{name:28}" + "".join(f"{value:20.2f}" for value in values), flush=True)


if __name__ == "__main__":
    main()
