"""Checks on models and labels at the edge: no gradient, a constant one, NaN, nothing relevant."""
# ruff: noqa: D103 - the rule of a check says what it does

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from hashbench.hashing.model import HashModel
from hashbench.plugins.card import Aim
from hashbench.testing.attack_answers import USABLE
from hashbench.testing.case import Case, of_model, ordinary
from hashbench.testing.checking import Check, check, require, skip_unless
from hashbench.testing.stage import AttackStage
from hashbench.testing.world import BITS, SMALL, Variant, linear_model

TRAINED = "trained: knows its own model alone"


@check("flat-model", "a model with no gradient gets a finite answer", needs=USABLE)
def flat_model(stage: AttackStage) -> None:
    skip_unless(not stage.is_trained, TRAINED)
    _sound(stage, "before a model without a gradient", of_model(_flat()))
    _sound(stage, "before a model with logits times 1e6", of_model(_scaled()))


@check("constant-gradient", "a linear model gets a finite answer", needs=USABLE)
def constant_gradient(stage: AttackStage) -> None:
    skip_unless(not stage.is_trained, TRAINED)
    _sound(stage, "before a linear model", of_model(_linear()))


@check("nan-model", "a model that gives NaN gets an error or a finite answer", needs=USABLE)
def nan_model(stage: AttackStage) -> None:
    skip_unless(not stage.is_trained, TRAINED)
    case = of_model(_nan())
    try:
        trial = stage.call(case)
    except Exception:  # an error is an answer too
        return
    require(
        bool(torch.isfinite(trial.answer.detach()).all()),
        "a model that gives NaN gets an answer of NaN: keep the last finite point, or raise",
    )


@check("nothing-relevant", "a query without a relevant training image is one too", needs=USABLE)
def nothing_relevant(stage: AttackStage) -> None:
    skip_unless(stage.is_told_labels, "is not told labels")
    _sound(stage, "without a relevant training image", _nothing_relevant())


@check("everything-relevant", "a query to which all training images are relevant too", needs=USABLE)
def everything_relevant(stage: AttackStage) -> None:
    skip_unless(stage.is_told_labels, "is not told labels")
    _sound(stage, "where all training images are relevant", _everything_relevant())


@check("no-target", "a query without a target gets a finite answer", needs=USABLE)
def no_target(stage: AttackStage) -> None:
    skip_unless(stage.attack.aim() is Aim.TARGETED, "untargeted")
    labels = ordinary().known.labels
    _sound(stage, "without a target", ordinary().knowing(labels, torch.zeros_like(labels)))


def _sound(stage: AttackStage, where: str, case: Case) -> None:
    trial = stage.call(case)
    answer = trial.answer.detach()
    require(answer.shape == case.images.shape, f"{where} its answer has another shape")
    require(bool(torch.isfinite(answer).all()), f"{where} its answer holds NaN or infinity")


@cache
def _flat() -> HashModel:
    def constant(_: Tensor, images: Tensor) -> Tensor:
        logits = torch.linspace(-1, 1, BITS).to(images)
        return logits + 0 * images.flatten(1).sum(dim=1, keepdim=True)

    return Variant(ordinary().model, constant)


@cache
def _linear() -> HashModel:
    weight = torch.randn((BITS, *SMALL), generator=torch.Generator().manual_seed(5)) / 20
    return linear_model(weight, -weight.flatten(1).sum(1) / 2)


@cache
def _scaled() -> HashModel:
    return Variant(ordinary().model, lambda logits, _: 1e6 * logits)


@cache
def _nan() -> HashModel:
    return Variant(ordinary().model, lambda logits, _: logits * torch.nan)


@cache
def _nothing_relevant() -> Case:
    usual = ordinary()
    return usual.knowing(torch.zeros_like(usual.known.labels))


@cache
def _everything_relevant() -> Case:
    return ordinary().with_common_label()


MODELS: tuple[Check[AttackStage], ...] = (
    flat_model,
    constant_gradient,
    nan_model,
    nothing_relevant,
    everything_relevant,
    no_target,
)
