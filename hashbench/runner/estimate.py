"""How long a run will take: passes counted from the plan, seconds per pass measured here."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

import torch

from hashbench.data.contract import Dataset
from hashbench.hashing.contract import Backbone
from hashbench.hashing.encode import frozen
from hashbench.runner.determinism import torch_threads
from hashbench.runner.loading import load_data, new_model
from hashbench.runner.probe import UNBOUNDED_QUERIES, UNBOUNDED_STEPS
from hashbench.runner.setting import Setting
from hashbench.runner.step_kinds import NO_WORK, Work, kind_of
from hashbench.runner.steps import ModelCodes, Probe, Scores, Step

FORWARD_SHARE: Final = 1 / 3
"""What a pass forward costs of one forward and back."""

SECONDS_PER_PAIR: Final = 5e-8
"""To rank one database item for one query, tie rules and curve included, on one core of 2020."""

_TRIALS = 3


@dataclass(frozen=True)
class Estimate:
    """What lies ahead.

    Attributes:
        passes: images that go forward and backward, in trainings and attacks.
        seconds: of one worker's work, codes, probes and scores included, data loading left out.
        by_step: the seconds of each step, by its key.
    """

    passes: int
    seconds: float
    by_step: Mapping[str, float] = field(default_factory=dict)


def estimate(steps: Iterable[Step]) -> Estimate:
    """Estimate the work of these steps; takes about a second per model size.

    Training on small batches costs more per image than attacking large ones, so each kind is
    measured at its own batch size.
    """
    speeds: dict[tuple[Dataset, Backbone, int, int], float] = {}
    passes, by_step, small = 0, dict[str, float](), list[Step]()
    for step in steps:
        work = _work_of(step)
        if not work.passes:
            small.append(step)
            continue
        setting = step.setting
        # Settings that differ in seed or loss alone share a figure.
        key = (setting.source.dataset, setting.backbone, setting.bits, work.batch)
        if key not in speeds:
            speeds[key] = _speed_or_zero(setting, work.batch)
        passes += work.passes
        by_step[step.key] = work.passes * speeds[key]
    for step in small:
        by_step[step.key] = _seconds_of_small(step, speeds)
    return Estimate(passes, sum(by_step.values()), by_step)


def _seconds_of_small(
    step: Step, speeds: Mapping[tuple[Dataset, Backbone, int, int], float]
) -> float:
    """Codes, probes, scores: from the speeds that are known, without measuring more."""
    if not isinstance(step, ModelCodes | Probe | Scores):
        return 0.0
    setting, sizes = step.setting, step.setting.source.protocol
    if isinstance(step, Scores):
        rankings = 1 if step.adversarial is not None else 2  # the clean queries' bounds as well
        return SECONDS_PER_PAIR * rankings * sizes.query * sizes.database
    model = (setting.source.dataset, setting.backbone, setting.bits)
    known = {key[3]: speed for key, speed in speeds.items() if key[:3] == model}
    if not known:
        return 0.0
    best = known[max(known)]
    if isinstance(step, ModelCodes):
        return best * FORWARD_SHARE * (sizes.train + sizes.query + sizes.database)
    first = min(UNBOUNDED_QUERIES, sizes.query)
    alone = known[min(known)] * sizes.query  # few queries at a time
    return alone + best * (3 * FORWARD_SHARE * sizes.query + first * UNBOUNDED_STEPS)


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
