"""What smoothing proves of a model: certified mAP at l2 radii, abstentions, seconds per query.

    python benchmarks/strength/smoothing.py [--defense cgat --dataset fashion --seed 0]
        [--sigma 0.25 --sigma 0.5] [--radius 0.5 --radius 1] [--draws 1000] [--queries 100]
        [--database plain] [--attack smooth-ap --attack pgd-hamming] [--out FOLDER]
    python benchmarks/strength/smoothing.py --model FOLDER --dataset NAME

The model is that of the quick suite, or one that was given, and comes from a store, so that a
second call does not train again. For each sigma one certificate serves all radii. What is certified
are the codes of the smoothed hash: `smooth` is its own clean mAP, beside that of the model, all
with ties in their worst order. The database holds the smoothed hash's codes too, by the majority of
`--selection` draws, or those of the model (`--database plain`). Seconds are of the processor, of
one thread, for the certificate of the bits.

With `--attack` the model is attacked in L2 at each radius, and the smoothed hash is asked for the
codes of the attacked images, with other draws. A line under the radius says how many bits have a
majority that the certificate excludes, and how many queries have less average precision than is
certified. Either certificate may be wrong with a probability of `--alpha` for a query, so a few are
no error; where there are more than luck explains, the script exits with 1.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import stats
from torch import Tensor

from hashbench import Eps, plugins
from hashbench.attacking import Threat
from hashbench.certifying import (
    SmoothedBits,
    Smoothing,
    certified_precision,
    majority_codes,
    smoothed_bits,
    violations,
)
from hashbench.data.images import ImageSet
from hashbench.hashing.encode import as_images, encode
from hashbench.hashing.model import HashModel
from hashbench.plugins import Attack
from hashbench.progress import no_progress
from hashbench.results.store import Store
from hashbench.retrieval import average_precision, chance_level
from hashbench.runner.attacks import attacked_arrays
from hashbench.runner.determinism import torch_threads
from hashbench.runner.evaluation_steps import AdversarialCodes
from hashbench.runner.loading import cell_seed, data_of, load_model
from hashbench.runner.plan import make_plan
from hashbench.runner.reporter import Reporter
from hashbench.runner.run import run_plan
from hashbench.runner.suite import compose

PART = 500
"""Images of a database that lie in memory at a time."""

LUCK = 1e-6
"""With which at most a line with sound certificates is taken for one with an error."""


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
    parser.add_argument("--attack", action="append", default=[])
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
    models = {step.codes.key: step for step in plan.steps if isinstance(step, AdversarialCodes)}
    print(
        f"{'model':24}{'sigma':>7}{'radius':>8}{'chance':>8}{'clean':>8}{'smooth':>8}{'certified':>11}"
        f"{'abstained':>11}{'bits held':>11}{'s/query':>9}"
    )
    attacks = [_attack(name) for name in options.attack]
    sound = [
        report(
            step,
            Store(options.out),
            asked,
            options.radius or (0.5, 1.0),
            options.queries,
            attacks,
            plain=options.database == "plain",
        )
        for step in models.values()
    ]
    if not all(sound):
        raise SystemExit("attacks turned more certified bits than the confidence allows")


def report(
    step: AdversarialCodes,
    store: Store,
    asked: list[Smoothing],
    radii: Sequence[float],
    queries: int | None,
    attacks: Sequence[Attack],
    *,
    plain: bool,
) -> bool:
    """Certify the first queries with each smoothing, and print what holds at each radius.

    Args:
        step: an attack on the model, whose place others take.
        store: holds the model.
        asked: one after the other.
        radii: in L2.
        queries: so many, or all.
        attacks: what the certificates are held against.
        plain: take the model's own codes of the database.

    Returns:
        Whether no more bits were turned than luck explains.
    """
    first, codes, sound = slice(queries), step.codes, True
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
        moved = {
            (attack.card.name, radius): attacked_images(
                replace(step, attack=attack, eps=Eps.parse(f"l2:{radius}")), store, queries
            )
            for radius in radii
            for attack in attacks
        }
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
                for attack in attacks:
                    other = [
                        cell_seed(setting, "smoothing", attack.card.name, radius, query)
                        for query in range(len(images))
                    ]
                    perturbed = moved[attack.card.name, radius].to(images.device)
                    far = Threat(Eps.parse(f"l2:{radius}")).distance(perturbed, images)
                    # An answer may leave the ball by its rounding.
                    proof = bits.at(max(radius, float(far.max())))
                    found = contradictions(
                        proof,
                        smoothed_bits(model, perturbed, smoothing, other),
                        (labels, kept, data.database.labels),
                    )
                    sound = sound and found.queries <= allowed(smoothing.alpha, len(images))
                    print(f"  {attack.card.name:22}{found.words(proof)}", flush=True)
    return sound


def attacked_images(step: AdversarialCodes, store: Store, queries: int | None) -> Tensor:
    """The attacked images of the first queries, float32 (Q, C, H, W)."""
    parts: list[Tensor] = []

    def keep(images: Tensor) -> None:
        parts.append(images.cpu().clone())

    attacked_arrays(step, store, no_progress, seen=keep, first=queries)
    return torch.cat(parts)


@dataclass(frozen=True)
class Contradictions:
    """What a smoothed hash says of attacked images against the certificate of the clean ones.

    Attributes:
        bits: of which the majority is certain there, and the other value is certified here.
        queries: with such a bit.
        below: queries whose average precision is below the certified one.
    """

    bits: int
    queries: int
    below: int

    def words(self, proof: NDArray[np.int8]) -> str:
        """For the line of an attack."""
        return (
            f"{self.bits} of {(proof != 0).sum()} certified bits turned, in {self.queries} of "
            f"{len(proof)} queries; {self.below} queries below what is certified"
        )


def completed(proof: NDArray[np.int8], told: SmoothedBits) -> NDArray[np.int8]:
    """Codes of attacked images: where they are abstained, the certified value if there is one."""
    certain = ~told.abstained | (proof == 0)
    codes: NDArray[np.int8] = np.where(certain, told.codes, proof).astype(np.int8)
    return codes


def contradictions(
    proof: NDArray[np.int8],
    told: SmoothedBits,
    asked: tuple[NDArray[np.uint8], NDArray[np.int8], NDArray[np.uint8]],
) -> Contradictions:
    """Hold what the smoothed hash says of attacked images against what is certified.

    Args:
        proof: int8 (Q, K), the certified bits of the clean images at a radius that the attacked
            ones keep; 0 where they are uncertain.
        told: of the attacked images.
        asked: labels of the queries, codes and labels of the database.
    """
    turned = (proof != 0) & ~told.abstained & (told.codes != proof)
    labels, kept, known = asked
    left = average_precision(completed(proof, told), kept, labels, known, ties="worst")
    below = violations(certified_precision(proof, labels, kept, known), left)
    return Contradictions(int(turned.sum()), int(turned.any(axis=1).sum()), len(below))


def allowed(alpha: float, queries: int) -> int:
    """Queries with a turned bit that luck explains: more come with a probability of `LUCK`.

    For a bit to be turned one of two certificates has to be wrong, that of the clean image or that
    of the attacked one. Each is with a probability of `alpha` at most, whatever the other says, and
    queries have draws of their own.
    """
    return int(stats.binom.isf(LUCK, queries, min(1.0, 2 * alpha)))


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


def _attack(name: str) -> Attack:
    found = plugins.get("attack", name)
    if not isinstance(found, Attack):
        raise SystemExit(f"{name} is no attack")
    return found


def _share(bits: SmoothedBits) -> str:
    return f"{100 * bits.abstentions:.1f} %"


if __name__ == "__main__":
    main()
