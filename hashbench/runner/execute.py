"""Makes the artifact of one step from the artifacts before it. The only file that computes."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

import torch

from hashbench.data.images import Pixels, RetrievalData
from hashbench.defending.contract import TrainedDefense, WrappingDefense
from hashbench.defending.setup import DefenseSetup
from hashbench.errors import ModelError, UsageError
from hashbench.hashing.augment import augmented
from hashbench.hashing.checkpoint import (
    CARD,
    WEIGHTS,
    ModelCard,
    card_bytes,
    load_checkpoint,
    weight_bytes,
)
from hashbench.hashing.encode import encode_splits, outputs_of
from hashbench.hashing.objective import BoundLoss
from hashbench.hashing.recipe import Recipe
from hashbench.hashing.setup import LossSetup
from hashbench.hashing.trainer import PlainObjective, random_orders, train
from hashbench.plugins.parameters import canonical
from hashbench.results.store import Store
from hashbench.runner.attacks import PROBE, adversarial_codes, probe_answers, trained_attacker
from hashbench.runner.determinism import environment, exact, fixed_randomness, torch_threads
from hashbench.runner.fingerprint import content_hash
from hashbench.runner.loading import (
    CODES,
    cell_seed,
    data_of,
    load_model,
    new_model,
    npz,
    read_npz,
    stored_weights,
)
from hashbench.runner.scoring import score_attack, score_clean
from hashbench.runner.setting import Setting
from hashbench.runner.steps import (
    AdversarialCodes,
    BaseModel,
    DefendedModel,
    GivenModel,
    ModelCodes,
    Probe,
    Scores,
    Step,
    TrainedAttacker,
)
from hashbench.runner.suite import Compute

Progress = Callable[[int, int], None]
"""(done, total), in the step's own units."""

CLAIM_TOLERANCE = 0.002
"""By how much mAP may differ from a card's: another processor adds floats in another order, which
turns an output here and there; a wrong transform or a wrong split costs far more."""

SCORES = "scores.json"
PER_QUERY = "per_query.npz"


def execute(step: Step, store: Store, progress: Progress) -> None:
    """Make one step's artifact and write it into the store.

    Args:
        step: its upstream artifacts are in the store.
        store: read and written.
        progress: told of what is done, often.

    Raises:
        HashbenchError: the step failed for a reason that a person can read.
    """
    began = time.monotonic()
    compute = _compute(step)
    with torch_threads(compute.threads), fixed_randomness(step), exact(compute.device):
        files = _make(step, store, progress)
    about = {
        "label": step.label,
        "made": step.described(),
        "from": [before.key for before in step.upstream],
        "seconds": round(time.monotonic() - began, 3),
        "environment": environment(),
    }
    store.write(step.address, files, about)


def _compute(step: Step) -> Compute:
    match step:
        case BaseModel() | DefendedModel() | GivenModel():
            return step.setting.compute
        case ModelCodes():
            return step.model.setting.compute
        case TrainedAttacker() | AdversarialCodes() | Probe() | Scores():
            return step.codes.model.setting.compute
    raise TypeError(f"no such step: {step}")


def _make(step: Step, store: Store, progress: Progress) -> Mapping[str, bytes]:
    match step:
        case BaseModel():
            return _base_model(step, progress)
        case DefendedModel():
            return _defended_model(step, store, progress)
        case GivenModel():
            return _given_model(step)
        case ModelCodes():
            return _model_codes(step, store)
        case TrainedAttacker():
            return trained_attacker(step, store, progress)
        case AdversarialCodes():
            return adversarial_codes(step, store, progress)
        case Probe():
            return probe_answers(step, store)
        case Scores():
            return _scores(step, store)
    raise TypeError(f"no such step: {step}")


def _base_model(step: BaseModel, progress: Progress) -> Mapping[str, bytes]:
    setting = step.setting
    card = _card(setting, "none", asdict(step.recipe))
    model = new_model(setting, bare=step.checkpoint is not None)
    if step.checkpoint is not None:
        load_checkpoint(step.checkpoint, model)
        return {WEIGHTS: weight_bytes(model), CARD: card_bytes(card)}
    data = data_of(setting)
    loss = _bound_loss(setting, data)
    log = train(
        model,
        PlainObjective(model, loss),
        step.recipe,
        _reader(setting, data, step.recipe, "base"),
        data.train.labels,
        random_orders(len(data.train), step.recipe.epochs, cell_seed(setting, "order", "base")),
        progress=progress,
    )
    return {
        WEIGHTS: weight_bytes(model),
        CARD: card_bytes(card),
        "log.json": (json.dumps(asdict(log)) + "\n").encode(),
    }


def _defended_model(step: DefendedModel, store: Store, progress: Progress) -> Mapping[str, bytes]:
    setting, defense = step.setting, step.defense
    if isinstance(defense, WrappingDefense):
        # Nothing is trained: the base model's weights stay where they are.
        return {CARD: card_bytes(_card(setting, canonical(defense), {}))}
    if not isinstance(defense, TrainedDefense):
        raise UsageError(
            f"defense '{defense.card.name}' is neither a TrainedDefense nor a WrappingDefense"
        )
    data = data_of(setting)
    model = stored_weights(step.base, setting, store)
    device = torch.device(setting.compute.device)
    recipe = defense.recipe(step.budget)
    objective = defense.objective(
        DefenseSetup(
            model=model,
            loss=_bound_loss(setting, data),
            outputs=outputs_of(model, data.train.images),
            labels=torch.from_numpy(data.train.labels).float().to(device),
            database_labels=torch.from_numpy(data.database.labels).float().to(device),
            budget=step.budget,
            generator=torch.Generator().manual_seed(
                cell_seed(setting, "defense", defense.card.name)
            ),
        )
    )
    log = train(
        model,
        objective,
        recipe,
        _reader(setting, data, recipe, "defense"),
        data.train.labels,
        random_orders(len(data.train), recipe.epochs, cell_seed(setting, "order", "defense")),
        progress=progress,
    )
    card = _card(setting, canonical(defense), asdict(recipe))
    return {
        WEIGHTS: weight_bytes(model),
        CARD: card_bytes(card),
        "log.json": (json.dumps(asdict(log)) + "\n").encode(),
    }


def _given_model(step: GivenModel) -> Mapping[str, bytes]:
    """The weights as they were found: a store holds all that its results come from."""
    if content_hash(step.folder / WEIGHTS) != step.weights:
        raise UsageError(f"model {step.folder}: {WEIGHTS} changed while the run went on")
    load_checkpoint(step.folder, new_model(step.setting, bare=True))
    names = (WEIGHTS, CARD)
    return {name: (step.folder / name).read_bytes() for name in names}


def _model_codes(step: ModelCodes, store: Store) -> Mapping[str, bytes]:
    data = data_of(step.model.setting)
    arrays = encode_splits(load_model(step.model, store), data)
    if isinstance(step.model, GivenModel):
        protocol = step.model.setting.source.protocol
        check_claim(step.model, score_clean(arrays, data, protocol).metrics)
    return {CODES: npz(arrays)}


def check_claim(model: GivenModel, measured: Mapping[str, float]) -> None:
    """Refuse a model that does not give the clean mAP that its card claims.

    Raises:
        ModelError: it differs by more than `CLAIM_TOLERANCE`; no number of it may be ranked.
    """
    for name, claimed in model.clean:
        if abs(measured[name] - claimed) > CLAIM_TOLERANCE:
            raise ModelError(
                f"model {model.folder}: its card claims a clean {name} of {100 * claimed:.2f} %, "
                f"but here it gives {100 * measured[name]:.2f} %"
            )


def _scores(step: Scores, store: Store) -> Mapping[str, bytes]:
    setting = step.codes.model.setting
    data, protocol = data_of(setting), setting.source.protocol
    clean = read_npz(store, step.codes, CODES)
    answers: dict[str, float] = {}
    if step.adversarial is None:
        scores = score_clean(clean, data, protocol)
    else:
        attacked = read_npz(store, step.adversarial, CODES)
        scores = score_attack(clean, attacked, data, protocol)
    if step.probe is not None:
        answers = json.loads(store.file(step.probe.address, PROBE).read_text())
    summary = {"metrics": {**scores.metrics, **answers}, "curve": asdict(scores.curve)}
    return {
        SCORES: (json.dumps(summary, indent=2, allow_nan=False) + "\n").encode(),
        PER_QUERY: npz(scores.per_query),
    }


def _bound_loss(setting: Setting, data: RetrievalData) -> BoundLoss:
    return setting.loss.bind(
        LossSetup(
            labels=torch.from_numpy(data.train.labels).float(),
            bits=setting.bits,
            generator=torch.Generator().manual_seed(cell_seed(setting, "loss")),
        )
    ).to(setting.compute.device)


def _reader(setting: Setting, data: RetrievalData, recipe: Recipe, what: str) -> Pixels:
    seed = cell_seed(setting, "augment", what)
    return augmented(data.train.images, data.train.wide, recipe.augment, seed)


def _card(setting: Setting, defense: str, recipe: dict[str, Any]) -> ModelCard:
    images = setting.source.images
    return ModelCard(
        backbone=canonical(setting.backbone),
        bits=setting.bits,
        loss=canonical(setting.loss),
        defense=defense,
        dataset=setting.source.protocol.dataset,
        protocol=setting.source.protocol.hash,
        seed=setting.seed,
        recipe=recipe,
        shape=(images.channels, images.height, images.width),
    )
