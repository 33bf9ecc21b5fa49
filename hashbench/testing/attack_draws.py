"""Checks of an attack at a model that draws at random in each pass."""
# ruff: noqa: D103 - the rule of a check says what it does

from __future__ import annotations

import torch

from hashbench.attacking.answer import beyond
from hashbench.plugins.card import Draws
from hashbench.testing.attack_answers import USABLE
from hashbench.testing.case import of_model, ordinary
from hashbench.testing.checking import Check, check, require, skip_unless
from hashbench.testing.stage import AttackStage
from hashbench.testing.world import Drawing


@check(
    "drawing-model",
    "a model that draws gets a finite answer in the ball, in passes() times its draws",
    needs=[*USABLE, "inside-ball", "pass-count"],
)
def drawing_model(stage: AttackStage) -> None:
    skip_unless(not stage.is_trained, "trained: knows its own model alone")
    model = Drawing(ordinary().model)
    trial = stage.call(of_model(model))
    answer = trial.answer.detach()
    where = f"before a model that draws ({model.draws} draws)"
    require(answer.shape == trial.case.images.shape, f"{where} its answer has another shape")
    require(bool(torch.isfinite(answer).all()), f"{where} its answer holds NaN or infinity")
    require(trial.stays, f"{where} it {beyond(trial.threat, trial.distance)}")
    allowed = stage.attack.passes() * model.draws
    for what, count in (("forward", trial.forwards), ("backward", trial.backwards)):
        require(
            count <= allowed * len(answer),
            f"{where} it made {count / len(answer):g} {what} passes per query, and passes() allows "
            f"{stage.attack.passes()} times {model.draws}: outputs, logits and expected_loss take "
            "all draws already",
        )


@check(
    "draws-as-declared",
    "at a model that draws it does what its card says: an expected loss, means of scores, or none",
    needs=[*USABLE, "drawing-model"],
)
def draws_as_declared(stage: AttackStage) -> None:
    skip_unless(not stage.is_trained, "trained: knows its own model alone")
    declared = stage.attack.card.draws
    skip_unless(declared is not None, "its card says that it never asks the model")
    looks = stage.call(of_model(Drawing(ordinary().model))).looks
    if declared in (Draws.EXPECTED_LOSS, Draws.MEAN_SCORE):
        how = {
            Draws.EXPECTED_LOSS: "expected_loss",
            Draws.MEAN_SCORE: "drawn_codes, drawn_logits, or ranked lists of several draws",
        }
        require(
            declared in looks,
            f"its card says {declared.name}, but it asked for no {how[declared]}",
        )
    else:
        found = next(iter(sorted(looks)), None)
        require(
            found is None,
            f"its card says {declared.name if declared else None}, but it does more: declare "
            f"draws=Draws.{found.name if found else None}",
        )


DRAWS: tuple[Check[AttackStage], ...] = (drawing_model, draws_as_declared)
