"""How long a run will take: passes counted from the plan, seconds per pass measured here."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch

from hashbench.hashing.encode import frozen
from hashbench.hashing.model import HashModel
from hashbench.plugins.parameters import canonical
from hashbench.retrieval import Scorer, Shard
from hashbench.runner.determinism import torch_threads
from hashbench.runner.evaluation_steps import Certificate, DistanceTallies, Scores
from hashbench.runner.loading import data_of
from hashbench.runner.rehearsal import black, rehearsed
from hashbench.runner.resolve import is_here
from hashbench.runner.setting import Setting
from hashbench.runner.step_kinds import NO_WORK, Work, is_known, kind_of
from hashbench.runner.steps import Step

_TRIALS = 3

_PATIENCE = 1.0
"""Seconds after which no further trial is made."""

_TRIED_PIXELS = 2_000_000
"""Numbers in the images of one trial: beyond, an image costs the same in larger batches."""

_TRIED_QUERIES = 50
"""Queries that a trial of the scoring asks."""

_CLEAN_SCORES = 4
"""How many rankings the scores of clean queries are: their own, chance, floor and targets."""


@dataclass(frozen=True)
class Estimate:
    """What lies ahead.

    Attributes:
        passes: images that go forward and backward; those that go forward alone count a third.
        seconds: of one worker's work; 0 where they could not be measured.
        by_step: the seconds of each step, by its key; none where they could not be measured.
        downloads: backbones, by their canonical text, whose weights a run fetches unless they are
            in the cache of their package.
        measured: whether they were: not where the device is not on this machine.
        start: seconds that another process takes until it can begin: what this one has taken.
    """

    passes: int
    seconds: float
    by_step: Mapping[str, float] = field(default_factory=dict)
    downloads: tuple[str, ...] = ()
    measured: bool = True
    start: float = 0.0


def estimate(steps: Iterable[Step]) -> Estimate:
    """Estimate the work of these steps, and try what they need; about a second per network.

    Training on small batches costs more per image than attacking large ones, so each kind is
    measured at its own batch size.

    Raises:
        UsageError: something cannot work; see `rehearsed`.
    """
    start = time.process_time()
    passes, by_step = 0, dict[str, float]()
    measurable = True
    downloads: dict[str, None] = {}
    for group in rehearsed(step for step in steps if is_known(step)):
        speeds: dict[int, float] = {}
        rankings: dict[int, float] = {}
        setting = group.steps[0].setting
        measurable = measurable and is_here(setting.compute.device)
        if group.download:
            downloads.setdefault(canonical(setting.backbone))
        for step in group.steps:
            work = _work_of(step)
            passes += work.passes
            if not measurable:
                continue
            seconds = 0.0
            if work.passes:
                if work.batch not in speeds:
                    speeds[work.batch] = _seconds_per_pass(group.model, setting, work.batch)
                seconds += work.passes * speeds[work.batch]
            ranked = _rankings_of(step)
            if ranked:
                bits = step.setting.bits
                if bits not in rankings:
                    rankings[bits] = _seconds_per_ranking(step.setting)
                seconds += rankings[bits] * ranked
            by_step[step.key] = seconds
    if not measurable:
        by_step = {}
    return Estimate(passes, sum(by_step.values()), by_step, tuple(downloads), measurable, start)


def _rankings_of(step: Step) -> float:
    """How often a step ranks the database for all queries; a part of it counts as its share."""
    if isinstance(step, Certificate):
        return 1.0
    share = 1.0
    if isinstance(step, DistanceTallies):
        share = len(step.rows) / step.setting.source.protocol.database
        step = step.scores
    elif step.parts:
        return 0.0
    if not isinstance(step, Scores):
        return 0.0
    return share * (1 if step.adversarial else _CLEAN_SCORES)


def _work_of(step: Step) -> Work:
    try:
        return kind_of(step).work(step)
    except Exception:  # a plugin may raise anything
        # The same call will fail its cell, with its reason; an estimate must not end the run.
        return NO_WORK


def _seconds_per_pass(model: HashModel, setting: Setting, batch: int) -> float:
    size = setting.source.images
    room = _TRIED_PIXELS // (size.channels * size.height * size.width)
    count = max(1, min(batch, room))
    model = model.to(setting.compute.device)
    images = black(setting, count).to(setting.compute.device).requires_grad_()
    times: list[float] = []
    with torch_threads(setting.compute.threads), frozen(model):
        while len(times) < _TRIALS and sum(times) < _PATIENCE:
            began = time.perf_counter()
            outputs = model.outputs(images)
            if outputs.requires_grad:  # a backbone may have no gradient
                torch.autograd.grad(outputs.sum(), images)
            if images.is_cuda:
                torch.cuda.synchronize()
            times.append(time.perf_counter() - began)
    return min(times) / count


def _seconds_per_ranking(setting: Setting) -> float:
    """Seconds in which all queries are ranked and scored, from a few of them on random codes."""
    data = data_of(setting)
    queries = min(_TRIED_QUERIES, len(data.query))
    draw = np.random.default_rng(0)
    codes, database = (
        (2 * draw.integers(0, 2, (count, setting.bits), dtype=np.int8) - 1)
        for count in (queries, len(data.database))
    )
    began = time.perf_counter()
    scorer = Scorer(codes, data.query.labels[:queries], Shard(database, data.database.labels))
    scorer.average_precisions(top_k=setting.source.protocol.top_k)
    return (time.perf_counter() - began) * len(data.query) / queries
