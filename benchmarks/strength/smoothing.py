"""What smoothing proves of a model: certified mAP at l2 radii, abstentions, seconds per query.

    python benchmarks/strength/smoothing.py [--defense cgat --dataset fashion --seed 0]
        [--sigma 0.25 --sigma 0.5] [--radius 0.5 --radius 1] [--draws 1000] [--queries 100]
        [--database plain] [--out FOLDER]
    python benchmarks/strength/smoothing.py --model FOLDER --dataset NAME

The model is that of the quick suite, or one that was given, and comes from a store, so that a
second call does not train again. For each sigma one certificate serves all radii. What is certified
are the codes of the smoothed hash: `smooth` is its own clean mAP, beside that of the model, all
with ties in their worst order. The database holds the smoothed hash's codes too, by the majority of
`--selection` draws, or those of the model (`--database plain`). Seconds are of the processor, of
one thread, for the certificate of the bits.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hashbench.certifying import (
    SmoothedBits,
    Smoothing,
    certified_precision,
    majority_codes,
    smoothed_bits,
)
from hashbench.data.images import ImageSet
from hashbench.hashing.encode import as_images, encode
from hashbench.hashing.model import HashModel
from hashbench.results.store import Store
from hashbench.retrieval import average_precision, chance_level
from hashbench.runner.determinism import torch_threads
from hashbench.runner.evaluation_steps import AdversarialCodes
from hashbench.runner.loading import cell_seed, data_of, load_model
from hashbench.runner.plan import make_plan
from hashbench.runner.reporter import Reporter
from hashbench.runner.run import run_plan
from hashbench.runner.steps import ModelCodes
from hashbench.runner.suite import compose

PART = 500
"""Images of a database that lie in memory at a time."""


def main() -> None:
    """Print a line for each model, sigma and radius."""
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n", maxsplit=1)[0])
    parser.add_argument("--dataset", action="append")
    parser.add_argument("--defense", action="append")
    parser.add_argument("--seed", action="append", type=int)
    parser.add_argument("--model", action="append")
    parser.add_argument("--sigma", action="append", type=float)
    parser.add_argument("--radius", action="append", type=float)
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--selection", type=int, default=100)
    parser.add_argument("--alpha", type=float, default=0.001)
    parser.add_argument("--queries", type=int, default=None)
    parser.add_argument("--database", choices=("smoothed", "plain"), default="smoothed")
    parser.add_argument("--out", type=Path, default=Path("results"))
    options = parser.parse_args()
    asked = [
        Smoothing(sigma, options.draws, options.selection, options.alpha)
        for sigma in options.sigma or (0.25, 0.5)
    ]
    wanted = {"dataset": options.dataset or ["fashion"], "attack": ["noise"]}
    if options.model:
        wanted["model"] = options.model
    else:
        wanted |= {"defense": options.defense or ["cgat"], "seed": options.seed or [0]}
    plan = make_plan(compose(None, wanted))
    results = run_plan(plan, out=options.out, reporter=Reporter())
    if results.failed:
        raise SystemExit(f"{len(results.failed)} cells failed: {results.failed[0].reason}")
    models = {
        step.codes.key: step.codes for step in plan.steps if isinstance(step, AdversarialCodes)
    }
    print(
        f"{'model':24}{'sigma':>7}{'radius':>8}{'chance':>8}{'clean':>8}{'smooth':>8}{'certified':>11}"
        f"{'abstained':>11}{'bits held':>11}{'s/query':>9}"
    )
    for codes in models.values():
        report(
            codes,
            Store(options.out),
            asked,
            options.radius or (0.5, 1.0),
            slice(options.queries),
            plain=options.database == "plain",
        )


def report(
    codes: ModelCodes,
    store: Store,
    asked: list[Smoothing],
    radii: tuple[float, ...],
    first: slice,
    *,
    plain: bool,
) -> None:
    """Certify the first queries with each smoothing, and print what holds at each radius."""
    setting = codes.model.setting
    data, model = data_of(setting), load_model(codes.model, store)
    labels, images = (
        data.query.labels[first],
        as_images(data.query.images[first], model.mean.device),
    )
    seeds = [cell_seed(setting, "smoothing", query) for query in range(len(images))]
    name = f"{setting.source.protocol.dataset} {codes.model.setting.seed}"
    with torch_threads(setting.compute.threads):
        own = encode(model, data.database.images).codes
        clean = _mean(model.codes(images).numpy(), labels, own, data.database)
        chance = 100 * float(np.mean(chance_level(labels, data.database.labels)))
        for smoothing in asked:
            start = time.process_time()
            bits = smoothed_bits(model, images, smoothing, seeds)
            seconds = (time.process_time() - start) / len(images)
            kept = own if plain else smoothed_database(model, data.database, smoothing)
            smooth = _mean(bits.codes, labels, kept, data.database)
            for radius in radii:
                held = bits.at(radius)
                proven = certified_precision(held, labels, kept, data.database.labels)
                certified = 100 * float(proven.average_precision.mean())
                print(
                    f"{name:24}{smoothing.sigma:>7g}{radius:>8g}{chance:>8.1f}{clean:>8.1f}"
                    f"{smooth:>8.1f}{certified:>11.1f}{_share(bits):>11}"
                    f"{f'{100 * (held != 0).mean():.1f} %':>11}{seconds:>9.3f}",
                    flush=True,
                )


def smoothed_database(
    model: HashModel, database: ImageSet, smoothing: Smoothing
) -> NDArray[np.int8]:
    """Majority codes of a database, some images at a time."""
    parts = []
    for start in range(0, len(database.images), PART):
        images = as_images(database.images[start : start + PART], model.mean.device)
        parts.append(majority_codes(model, images, smoothing, range(start, start + len(images))))
    return np.concatenate(parts)


def _mean(
    codes: NDArray[np.int8],
    labels: NDArray[np.uint8],
    kept: NDArray[np.int8],
    database: ImageSet,
) -> float:
    scores = average_precision(codes, kept, labels, database.labels, ties="worst")
    return 100 * float(np.mean(scores))


def _share(bits: SmoothedBits) -> str:
    return f"{100 * bits.abstentions:.1f} %"


if __name__ == "__main__":
    main()
