"""Checks that an attack attacks: on a small task, and on a linear hash whose threshold is known."""
# ruff: noqa: D103 - the rule of a check says what it does

from __future__ import annotations

import torch
from torch import Tensor

from hashbench.eps import Eps
from hashbench.plugins.card import Access, Aim
from hashbench.retrieval import mean_average_precision
from hashbench.testing.attack_answers import USABLE
from hashbench.testing.case import linear, ordinary
from hashbench.testing.checking import Check, check, require, skip_unless
from hashbench.testing.stage import AttackStage, Trial

LEAST = 0.05
"""An attack has to move the mAP by so much, as a share of 1, at the strong radius."""

SLACK = 0.05
"""So much may the mAP rise with the radius: 7 queries are few."""

SHORT, BEYOND = 0.99, 1.01
BLIND = 2.5
"""Beyond so many thresholds a search without gradients has to flip a bit of four equal pixels."""


@check("leads-away", "an untargeted attack lowers the mAP of a small model", needs=USABLE)
def leads_away(stage: AttackStage) -> None:
    skip_unless(stage.attack.aim() is Aim.UNTARGETED, "targeted")
    skip_unless(_knows_a_model(stage), "a control: knows no model")
    trial = stage.call(ordinary(), eps=stage.radii.strong)
    clean, found = _map(trial, _clean_codes()), _map(trial, trial.codes)
    require(
        found <= clean - LEAST,
        f"at radius {stage.radii.strong} it moves the mAP of a small model from "
        f"{100 * clean:.1f} to {100 * found:.1f} %: is a sign wrong?",
    )


@check("leads-to-target", "a targeted attack raises the mAP by the target's labels", needs=USABLE)
def leads_to_target(stage: AttackStage) -> None:
    skip_unless(stage.attack.aim() is Aim.TARGETED, "untargeted")
    trial = stage.call(ordinary(), eps=stage.radii.strong)
    clean, found = _map(trial, _clean_codes()), _map(trial, trial.codes)
    require(
        found >= clean + LEAST,
        f"at radius {stage.radii.strong} it moves the mAP by the target's labels from "
        f"{100 * clean:.1f} to {100 * found:.1f} %: is a sign wrong?",
    )


@check(
    "larger-eps",
    "twice the radius does not help the defender",
    needs=["leads-away", "leads-to-target"],
)
def larger_eps(stage: AttackStage) -> None:
    skip_unless(not stage.is_trained, "trained anew for each radius")
    skip_unless(_knows_a_model(stage), "a control: knows no model")
    near, far = (
        _map(trial, trial.codes)
        for trial in (
            stage.call(ordinary(), eps=eps) for eps in (stage.radii.strong, stage.radii.stronger)
        )
    )
    worse = near - far if stage.attack.aim() is Aim.TARGETED else far - near
    require(
        worse <= SLACK,
        f"it is weaker in a larger ball: the mAP goes from {100 * near:.1f} at "
        f"{stage.radii.strong} to {100 * far:.1f} % at {stage.radii.stronger}",
    )


@check(
    "linear-hash-below",
    "no bit of a linear hash flips within 0.99 of its threshold",
    needs=[*USABLE, "inside-ball", "constant-gradient"],
)
def linear_hash_below(stage: AttackStage) -> None:
    skip_unless(not stage.is_trained, "trained: knows its own model alone")
    flipped = _flipped(stage, SHORT, corner=False)
    require(
        not bool(flipped.any()),
        f"{int(flipped.sum())} of 6 bits flip in a ball where no answer can flip one: it left it",
    )


@check(
    "linear-hash-above",
    "every bit of a linear hash flips beyond 1.01 of its threshold (2.5 without a gradient)",
    needs=[*USABLE, "leads-away", "leads-to-target", "constant-gradient"],
)
def linear_hash_above(stage: AttackStage) -> None:
    skip_unless(not stage.is_trained, "trained: knows its own model alone")
    skip_unless(_knows_a_model(stage), "a control: knows no model")
    skip_unless(not stage.has_surrogate, "sees a surrogate's gradient alone")
    sighted = stage.attack.card.access is Access.GRADIENT
    factor = BEYOND if sighted else BLIND
    flipped = _flipped(stage, factor, corner=not sighted)
    require(
        bool(flipped.all()),
        f"it flips {int(flipped.sum())} of 6 bits of a linear hash at {factor} times the radius "
        "that flips each: it does not use the whole ball, or stops too early",
    )


def _knows_a_model(stage: AttackStage) -> bool:
    return stage.asks_the_model or stage.is_trained or stage.has_surrogate


def _flipped(stage: AttackStage, factor: float, *, corner: bool) -> Tensor:
    threshold = stage.radii.threshold
    case = linear(threshold, corner=corner, norm=stage.norm)
    trial = stage.call(case, eps=Eps.parse(f"{stage.norm}:{factor * threshold}"))
    # Not clipped to the ball: that an answer stays in it is what is asked.
    with torch.no_grad():
        logits = case.model.logits(trial.answer.detach().clamp(0, 1))
    return (logits >= 0) != (case.known.center_codes > 0)


def _clean_codes() -> Tensor:
    usual = ordinary()
    with torch.no_grad():
        return usual.model.codes(usual.images)


def _map(trial: Trial, codes: Tensor) -> float:
    """By the query's labels, or by the target's where there is one to be led to."""
    case = trial.case
    return mean_average_precision(codes, case.database_codes, _goal(trial), case.database_labels)


def _goal(trial: Trial) -> Tensor:
    known = trial.case.known
    if trial.aim is Aim.UNTARGETED or known.target_labels is None:
        return known.labels
    return known.target_labels


STRENGTH: tuple[Check[AttackStage], ...] = (
    leads_away,
    leads_to_target,
    larger_eps,
    linear_hash_below,
    linear_hash_above,
)
