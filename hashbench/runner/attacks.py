"""Makes what attacks make of one model: networks, adversarial codes, answers of the probe."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hashbench.attacking.attacker import Attacker, SurrogateModel
from hashbench.attacking.goal import Known
from hashbench.attacking.harness import run_attack
from hashbench.attacking.repeated import dependent_answers
from hashbench.attacking.threat import Threat
from hashbench.attacking.training import train_attacker
from hashbench.data.images import RetrievalData
from hashbench.data.targets import draw_targets
from hashbench.hashing.checkpoint import WEIGHTS, weight_bytes
from hashbench.hashing.precision import Precision
from hashbench.plugins.card import Access, Aim
from hashbench.progress import Progress
from hashbench.results.artifacts import CODES, PROBE
from hashbench.results.store import Store
from hashbench.retrieval import center_codes
from hashbench.runner.evaluation_steps import AdversarialCodes, Probe, TrainedAttacker
from hashbench.runner.loading import (
    cell_seed,
    data_of,
    load_attacker,
    load_model,
    read_npz,
)
from hashbench.runner.probe import probe
from hashbench.runner.scoring import score_probe


def trained_attacker(
    step: TrainedAttacker, store: Store, progress: Progress
) -> Mapping[str, bytes]:
    """The weights of a trained attack's network."""
    setting = step.setting
    name = step.attack.card.name
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(cell_seed(setting, "attacker weights", name))
        network = train_attacker(
            step.attack,
            load_model(step.codes.model, store),
            data_of(setting).train,
            torch.from_numpy(read_npz(store, step.codes, CODES)["train"]),
            Threat(step.eps),
            torch.Generator().manual_seed(cell_seed(setting, "attacker", name)),
            limit=step.limit,
            progress=progress,
        )
    return {WEIGHTS: weight_bytes(network)}


def attacked_arrays(
    step: AdversarialCodes,
    store: Store,
    progress: Progress,
    *,
    seen: Callable[[Tensor], None],
    first: int | None = None,
) -> dict[str, NDArray[Any]]:
    """The codes of the attacked queries, and what it took: the arrays of the step's artifact.

    Args:
        step: what is asked for.
        store: holds what it reads from.
        progress: told of its progress.
        seen: shown the attacked images, part by part in order.
        first: attack so many of the queries alone.
    """
    setting = step.setting
    data = data_of(setting)
    model = load_model(step.codes.model, store)
    attacker = _attacker(step, data, store)
    seeds = [
        cell_seed(setting, "attack", step.attack.card.name, index)
        for index in range(len(data.query))
    ]
    threat = Threat(step.eps, step.pixels)
    told = (step.attack, model, data.query.images, attacker, threat, seeds)
    # First, so that an attack that does not bear being asked again costs no hours.
    other = setting.compute.other_search
    search = None if other is None else Precision(other)
    dependent = dependent_answers(*told, limit=step.limit, search=search)
    part = slice(first)
    # All of them stay where they are, which may be a file.
    queries = data.query.images if first is None else data.query.images[part]
    outcome = run_attack(
        step.attack,
        model,
        queries,
        attacker.rows(part),
        threat,
        seeds[part],
        batch=setting.compute.attack_batch,
        limit=step.limit,
        search=search,
        progress=progress,
        seen=seen,
    )
    fields = {name: np.asarray(value) for name, value in vars(outcome).items()}
    if dependent is not None:
        fields["dependent"] = np.array(dependent)
    if step.attack.aim() is Aim.TARGETED:
        fields["target_labels"] = targets_of(data)
    return fields


def probe_answers(step: Probe, store: Store, _progress: Progress) -> Mapping[str, bytes]:
    """The metrics of the experiments on one model."""
    setting = step.setting
    data = data_of(setting)
    clean = read_npz(store, step.codes, CODES)
    outcome = probe(
        load_model(step.codes.model, store),
        data.query.images,
        center_codes(data.query.labels, clean["train"], data.train.labels),
        clean["query"],
    )
    metrics = score_probe(outcome, clean, data, setting.source.protocol)
    return {PROBE: (json.dumps(metrics, indent=2, allow_nan=False) + "\n").encode()}


def targets_of(data: RetrievalData) -> NDArray[np.uint8]:
    """What targeted attacks lead the queries to, (Q, classes)."""
    return draw_targets(data.query.labels, data.train.labels)


def _attacker(step: AdversarialCodes, data: RetrievalData, store: Store) -> Attacker:
    clean = read_npz(store, step.codes, CODES)
    targets = targets_of(data) if step.attack.aim() is Aim.TARGETED else None

    def known(codes: NDArray[np.int8]) -> Known:
        labels, rows = data.query.labels, data.train.labels
        return Known.of(labels, center_codes(labels, codes, rows), codes, rows, targets)

    surrogate: SurrogateModel | None = None
    if step.surrogate is not None:
        own = read_npz(store, step.surrogate, CODES)["train"]
        surrogate = SurrogateModel(load_model(step.surrogate.model, store), known(own))
    blind = step.attack.card.access is Access.NONE
    return Attacker(
        known=known(clean["train"]),
        database_codes=None if blind else torch.from_numpy(clean["database"]).float(),
        surrogate=surrogate,
        network=None if step.attacker is None else load_attacker(step.attacker, store),
    )
