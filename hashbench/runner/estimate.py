"""How long a run will take: passes counted from the plan, seconds per pass measured here."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass

import torch

from hashbench.data.contract import Dataset
from hashbench.hashing.contract import Backbone
from hashbench.hashing.encode import frozen
from hashbench.runner.determinism import torch_threads
from hashbench.runner.loading import load_data, new_model
from hashbench.runner.setting import Setting
from hashbench.runner.step_kinds import NO_WORK, Work, kind_of
from hashbench.runner.steps import Step

_TRIALS = 3


@dataclass(frozen=True)
class Estimate:
    """What lies ahead.

    Attributes:
        passes: images that go forward and backward.
        seconds: of one worker's work, data loading and scoring left out.
    """

    passes: int
    seconds: float


def estimate(steps: Iterable[Step]) -> Estimate:
    """Estimate the work of these steps; takes about a second per model size.

    Training on small batches costs more per image than attacking large ones, so each kind is
    measured at its own batch size.
    """
    speeds: dict[tuple[Dataset, Backbone, int, int], float] = {}
    passes, seconds = 0, 0.0
    for step in steps:
        work = _work_of(step)
        if not work.passes:
            continue
        setting = step.setting
        # Settings that differ in seed or loss alone share a figure.
        key = (setting.source.dataset, setting.backbone, setting.bits, work.batch)
        if key not in speeds:
            speeds[key] = _speed_or_zero(setting, work.batch)
        passes += work.passes
        seconds += work.passes * speeds[key]
    return Estimate(passes, seconds)


def _work_of(step: Step) -> Work:
    try:
        return kind_of(step).work(step)
    except Exception:  # a plugin may raise anything
        # The same call will fail its cell, with its reason; an estimate must not end the run.
        return NO_WORK


def _speed_or_zero(setting: Setting, batch: int) -> float:
    try:
        return _seconds_per_pass(setting, batch)
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
