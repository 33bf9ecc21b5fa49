"""Makes what attacks make of one model: networks, adversarial codes, answers of the probe."""

from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from hashbench.attacking.harness import AttackerView, SurrogateView, run_attack
from hashbench.attacking.threat import Threat
from hashbench.attacking.training import train_attacker
from hashbench.data.images import RetrievalData
from hashbench.data.targets import draw_targets
from hashbench.hashing.checkpoint import WEIGHTS, weight_bytes
from hashbench.plugins.card import Access, Aim
from hashbench.progress import Progress
from hashbench.results.store import Store
from hashbench.retrieval import center_codes
from hashbench.runner.loading import (
    CODES,
    cell_seed,
    data_of,
    load_attacker,
    load_model,
    npz,
    read_npz,
)
from hashbench.runner.probe import probe
from hashbench.runner.scoring import score_probe
from hashbench.runner.steps import AdversarialCodes, ModelCodes, Probe, TrainedAttacker

PROBE = "probe.json"


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


def adversarial_codes(
    step: AdversarialCodes, store: Store, progress: Progress
) -> Mapping[str, bytes]:
    """The codes of the attacked queries, and what it took."""
    setting = step.setting
    data = data_of(setting)
    outcome = run_attack(
        step.attack,
        load_model(step.codes.model, store),
        data.query.images,
        _view(step, data, store),
        Threat(step.eps),
        [
            cell_seed(setting, "attack", step.attack.card.name, index)
            for index in range(len(data.query))
        ],
        batch=setting.compute.attack_batch,
        limit=step.limit,
        progress=progress,
    )
    fields = {name: np.asarray(value) for name, value in vars(outcome).items()}
    if step.attack.aim() is Aim.TARGETED:
        fields["target_labels"] = targets_of(data)
    return {CODES: npz(fields)}


def probe_answers(step: Probe, store: Store, _progress: Progress) -> Mapping[str, bytes]:
    """The metrics of the experiments on one model."""
    setting = step.setting
    data = data_of(setting)
    clean = read_npz(store, step.codes, CODES)
    outcome = probe(
        load_model(step.codes.model, store),
        data.query.images,
        center_codes(data.query.labels, clean["train"], data.train.labels),
    )
    metrics = score_probe(outcome, clean, data, setting.source.protocol)
    return {PROBE: (json.dumps(metrics, indent=2, allow_nan=False) + "\n").encode()}


def targets_of(data: RetrievalData) -> NDArray[np.uint8]:
    """What targeted attacks lead the queries to, (Q, classes)."""
    return draw_targets(data.query.labels, data.train.labels)


def _view(step: AdversarialCodes, data: RetrievalData, store: Store) -> AttackerView:
    clean = read_npz(store, step.codes, CODES)
    targeted = step.attack.aim() is Aim.TARGETED
    blind = step.attack.card.access is Access.NONE
    return AttackerView(
        query_labels=data.query.labels,
        center_codes=center_codes(data.query.labels, clean["train"], data.train.labels),
        train_codes=clean["train"],
        train_labels=data.train.labels,
        target_labels=targets_of(data) if targeted else None,
        database_codes=None if blind else clean["database"],
        surrogate=None if step.surrogate is None else _seen(step.surrogate, data, store),
        network=None if step.attacker is None else load_attacker(step.attacker, store),
    )


def _seen(codes: ModelCodes, data: RetrievalData, store: Store) -> SurrogateView:
    """A surrogate, with the center codes that its own training codes give."""
    own = read_npz(store, codes, CODES)["train"]
    return SurrogateView(
        model=load_model(codes.model, store),
        center_codes=center_codes(data.query.labels, own, data.train.labels),
        train_codes=own,
    )
