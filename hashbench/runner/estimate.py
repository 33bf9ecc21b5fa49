"""How long a run will take: passes counted from the plan, seconds per pass measured here."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass

import torch

from hashbench.data.contract import Dataset
from hashbench.defending.contract import TrainedDefense
from hashbench.defending.transformed import InputTransformation
from hashbench.hashing.contract import Backbone
from hashbench.hashing.encode import frozen
from hashbench.runner.determinism import torch_threads
from hashbench.runner.loading import load_data, new_model
from hashbench.runner.setting import Setting
from hashbench.runner.steps import (
    AdversarialCodes,
    BaseModel,
    DefendedModel,
    ModelCodes,
    Step,
    TrainedAttacker,
)

_TRIALS = 3

ATTACKER_BATCH = 32
"""Images per pass that a trained attack is taken to use."""


@dataclass(frozen=True)
class Estimate:
    """What lies ahead.

    Attributes:
        passes: images that go forward and backward.
        seconds: of one worker's work, data loading and scoring left out.
    """

    passes: int
    seconds: float


@dataclass(frozen=True)
class _Work:
    """Image passes of one step, made in batches of this size."""

    passes: int
    batch: int
    setting: Setting


def estimate(steps: Iterable[Step]) -> Estimate:
    """Estimate the work of these steps; takes about a second per model size.

    Training on small batches costs more per image than attacking large ones, so each kind is
    measured at its own batch size.
    """
    speeds: dict[tuple[Dataset, Backbone, int, int], float] = {}
    passes, seconds = 0, 0.0
    for step in steps:
        work = _work_or_none(step)
        if work is None or not work.passes:
            continue
        # Settings that differ in seed or loss alone share a figure.
        key = (work.setting.source.dataset, work.setting.backbone, work.setting.bits, work.batch)
        if key not in speeds:
            speeds[key] = _speed_or_zero(work)
        passes += work.passes
        seconds += work.passes * speeds[key]
    return Estimate(passes, seconds)


def _work_or_none(step: Step) -> _Work | None:
    try:
        return _work(step)
    except Exception:  # a plugin may raise anything
        # The same call will fail its cell, with its reason; an estimate must not end the run.
        return None


def _work(step: Step) -> _Work | None:
    match step:
        case BaseModel() if step.checkpoint is None:
            count = step.recipe.epochs * _train_size(step.setting)
            return _Work(count, step.recipe.batch, step.setting)
        case DefendedModel() if isinstance(step.defense, TrainedDefense):
            recipe = step.defense.recipe(step.budget)
            per_image = step.defense.passes(step.budget)
            count = recipe.epochs * per_image * _train_size(step.setting)
            return _Work(count, recipe.batch, step.setting)
        case TrainedAttacker():
            count = step.attack.training_passes(_train_size(step.codes.model.setting))
            return _Work(count * _draws(step.codes), ATTACKER_BATCH, step.codes.model.setting)
        case AdversarialCodes():
            setting = step.codes.model.setting
            queries = setting.source.protocol.query
            batch = min(setting.compute.attack_batch, queries)
            return _Work(step.attack.passes() * queries * _draws(step.codes), batch, setting)
    return None


def _draws(codes: ModelCodes) -> int:
    """How often an attack asks a model at each look; known of transformations that say so."""
    model = codes.model
    defense = model.defense if isinstance(model, DefendedModel) else model.wrapper
    return defense.draws if isinstance(defense, InputTransformation) else 1


def _train_size(setting: Setting) -> int:
    return setting.source.protocol.train


def _speed_or_zero(work: _Work) -> float:
    try:
        return _seconds_per_pass(work.setting, work.batch)
    except Exception:  # as above: what cannot be built fails its cells
        return 0.0


def _seconds_per_pass(setting: Setting, batch: int) -> float:
    data = load_data(setting.source.dataset, setting.source.root)
    model = new_model(setting)
    shape = (batch, *data.query.images.shape[1:])
    images = torch.rand(shape, device=setting.compute.device, requires_grad=True)
    times = []
    with torch_threads(setting.compute.threads), frozen(model):
        for _ in range(_TRIALS):
            began = time.perf_counter()
            torch.autograd.grad(model.outputs(images).sum(), images)
            if images.is_cuda:
                torch.cuda.synchronize()
            times.append(time.perf_counter() - began)
    return min(times) / batch
