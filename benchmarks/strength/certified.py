"""What the defense `certified` comes to: clean, attacked and proven mAP, and its CPU-seconds.

    python benchmarks/strength/certified.py [--defense certified@quick]
        [--loss csq:codes=similarity] [--dataset fashion]
        [--eps 24/255] [--seed 0 --seed 1] [--backbone small-cnn] [--bits 32]
        [--attack smooth-ap:steps=500 --attack auto] [--restarts 5] [--base-epochs 24]
        [--queries 500] [--root FOLDER] [--plugin FILE]

One line per seed, then the means. Training is timed in CPU-seconds of one thread, with the codes,
without the base model: the defense starts from scratch, so by default the base model is not trained
at all (`--base-epochs` trains it, for what begins with it). `clean` is the mAP that a suite shows,
the mean over the orders of ties; `worst`, attacked and certified mAP have them in the worst order.
Attacked is the per-query worst over all attacks and their restarts. The last columns say how many
bits are proven, of how many queries the certified AP is exact, and how many queries an attack
brought below their proof: each would be an error in the attack or in the proof, and the script then
exits with 1.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from hashbench import Eps, plugins
from hashbench.attacking import Attacker, Known, Threat, run_attack
from hashbench.certifying import (
    UNCERTAIN,
    certified_bits,
    certified_precision,
    violations,
)
from hashbench.data.images import RetrievalData
from hashbench.defending import Budget, DefenseSetup
from hashbench.hashing import (
    HashModel,
    InputSpec,
    LossSetup,
    Objective,
    OptimizerName,
    Recipe,
    encode,
    train,
)
from hashbench.hashing.augment import augmented
from hashbench.hashing.encode import as_images, outputs_of
from hashbench.hashing.trainer import PlainObjective, random_orders
from hashbench.plugins import Attack, Backbone, Dataset, Loss, TrainedDefense
from hashbench.retrieval import average_precision, center_codes
from hashbench.runner.determinism import torch_threads
from hashbench.seeds import seed_of

PluginT = TypeVar("PluginT", Dataset, Backbone, Loss, TrainedDefense, Attack)

COLUMNS = ("CPU-s", "clean", "worst", "attacked", "certified", "bits", "exact", "below")
BLOCK = 100
"""Queries that are bounded together."""


@dataclass(frozen=True)
class Asked:
    """What is measured: plugins, and the setting."""

    dataset: Dataset
    backbone: Backbone
    loss: Loss
    defense: TrainedDefense
    attacks: tuple[Attack, ...]
    restarts: int
    bits: int
    eps: Eps
    base_epochs: int
    budget: Budget
    queries: int


def main() -> None:
    """Print a line per seed, then the means."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--dataset", default="fashion")
    parser.add_argument("--backbone", default="small-cnn")
    parser.add_argument("--loss", default="csq:codes=similarity")
    parser.add_argument("--defense", default="certified@quick")
    parser.add_argument("--attack", action="append", default=[])
    parser.add_argument("--restarts", type=int, default=1, help="of every attack")
    parser.add_argument("--bits", type=int, default=32)
    parser.add_argument("--eps", type=Eps.parse, default=Eps.parse("24/255"))
    parser.add_argument("--seed", action="append", type=int)
    parser.add_argument("--base-epochs", type=int, default=0)
    parser.add_argument("--budget-epochs", type=int, default=12)
    parser.add_argument("--queries", type=int, default=500)
    parser.add_argument("--root", type=Path, help="folder of the data set's files")
    parser.add_argument("--plugin", action="append", type=Path, default=[])
    options = parser.parse_args()
    for file in options.plugin:
        plugins.use_file(file)
    asked = Asked(
        dataset=_plugin(Dataset, "dataset", options.dataset),
        backbone=_plugin(Backbone, "backbone", options.backbone),
        loss=_plugin(Loss, "loss", options.loss),
        defense=_plugin(TrainedDefense, "defense", options.defense),
        attacks=tuple(_plugin(Attack, "attack", name) for name in options.attack),
        restarts=options.restarts,
        bits=options.bits,
        eps=options.eps,
        base_epochs=options.base_epochs,
        budget=Budget(options.budget_epochs, 7, options.eps),
        queries=options.queries,
    )
    data = asked.dataset.load(options.root)
    print(f"{'':24}" + "".join(f"{name:>11}" for name in COLUMNS), flush=True)
    rows = []
    for seed in options.seed or [0, 1, 2]:
        with torch_threads(1):
            rows.append(measured(asked, data, seed))
        _print(f"{options.defense} seed {seed}", rows[-1])
    _print("mean", [statistics.fmean(values) for values in zip(*rows, strict=True)])
    if any(row[-1] > 0 for row in rows):
        raise SystemExit("an attack went below what is proven")


def measured(asked: Asked, data: RetrievalData, seed: int) -> list[float]:
    """One seed's row; NaN under `attacked` without an attack."""
    torch.manual_seed(seed_of(seed, "model"))
    model = HashModel(asked.backbone.build(InputSpec.of(data.train)), asked.bits)
    setup = LossSetup(
        labels=torch.from_numpy(data.train.labels).float(),
        bits=asked.bits,
        generator=_generator(seed, "loss"),
        images=data.train.images,
    )
    if asked.base_epochs:
        _trained(
            model,
            PlainObjective(model, asked.loss.bind(setup)),
            Recipe(asked.base_epochs, optimizer=OptimizerName.SGD),
            data,
            seed,
        )
    model.eval()
    outputs = outputs_of(model, data.train.images)
    began = time.process_time()
    setup = LossSetup(setup.labels, setup.bits, _generator(seed, "loss"), setup.images)
    objective = asked.defense.objective(
        DefenseSetup(
            model=model,
            loss=asked.loss.bind(setup),
            outputs=outputs,
            labels=setup.labels,
            database_labels=torch.from_numpy(data.database.labels).float(),
            budget=asked.budget,
            generator=_generator(seed, "defense"),
            images=data.train.images,
        )
    )
    _trained(model, objective, asked.defense.recipe(asked.budget), data, seed)
    seconds = time.process_time() - began
    return [seconds, *scored(asked, model, data, seed)]


def scored(asked: Asked, model: HashModel, data: RetrievalData, seed: int) -> list[float]:
    """Clean, attacked and certified mAP, proven bits, exact queries, in %; queries below proof."""
    database = encode(model, data.database.images).codes
    labels, images = data.query.labels[: asked.queries], data.query.images[: asked.queries]
    known = data.database.labels

    def precision(codes: NDArray[np.int8], ties: str = "worst") -> NDArray[np.float64]:
        return average_precision(codes, database, labels, known, ties=ties, normalize="relevant")

    blocks = [as_images(images[at : at + BLOCK], torch.device("cpu")) for at in _starts(images)]
    bits = np.concatenate([certified_bits(model, block, asked.eps) for block in blocks])
    proven = certified_precision(bits, labels, database, known)
    left = np.full(len(images), np.nan)
    for codes in _attacked(asked, model, data, seed):
        left = np.fmin(left, precision(codes))
    clean = encode(model, images).codes
    return [
        100 * float(precision(clean, "expected").mean()),
        100 * float(precision(clean).mean()),
        100 * float(left.mean()),
        100 * float(proven.average_precision.mean()),
        100 * float((bits != UNCERTAIN).mean()),
        100 * float(proven.exact.mean()),
        float(len(violations(proven, left))) if asked.attacks else 0.0,
    ]


def _attacked(
    asked: Asked, model: HashModel, data: RetrievalData, seed: int
) -> Iterator[NDArray[np.int8]]:
    """The codes that each attack leaves, one restart after the other."""
    labels, images = data.query.labels[: asked.queries], data.query.images[: asked.queries]
    codes = encode(model, data.train.images).codes
    centers = center_codes(labels, codes, data.train.labels)
    attacker = Attacker(Known.of(labels, centers, codes, data.train.labels))
    for attack, restart in product(asked.attacks, range(asked.restarts)):
        seeds = [seed_of(seed, "attack", restart, query) for query in range(len(images))]
        outcome = run_attack(
            attack, model, images, attacker, Threat(asked.eps), seeds, batch=len(images)
        )
        yield outcome.codes


def _trained(
    model: HashModel, objective: Objective, recipe: Recipe, data: RetrievalData, seed: int
) -> None:
    train(
        model,
        objective,
        recipe,
        augmented(data.train.images, data.train.wide, recipe.augment, seed_of(seed, "augment")),
        data.train.labels,
        random_orders(len(data.train), recipe.epochs, seed_of(seed, "order")),
    )


def _starts(images: NDArray[np.uint8]) -> range:
    return range(0, len(images), BLOCK)


def _generator(seed: int, what: str) -> torch.Generator:
    return torch.Generator().manual_seed(seed_of(seed, what))


def _plugin(kind: type[PluginT], what: str, text: str) -> PluginT:
    found = plugins.get(what, text)
    if not isinstance(found, kind):
        raise SystemExit(f"{text} is no {kind.__name__}")
    return found


def _print(name: str, values: list[float]) -> None:
    print(f"{name:24}" + "".join(f"{value:11.2f}" for value in values), flush=True)


if __name__ == "__main__":
    main()
