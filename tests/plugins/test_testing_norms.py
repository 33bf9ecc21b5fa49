"""The conformance kit on attacks of both norms: each rule is asked in each."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from hashbench.attacking import AttackedModel, Goal, QueryRandom, Threat, steepest_step
from hashbench.plugins import Attack, Norm, attack
from hashbench.testing import ATTACK_CHECKS, CheckReport, check_attack
from hashbench.testing.attack_norms import IN_A_BALL
from hashbench.testing.case import linear
from hashbench.testing.radii import RADII
from hashbench.testing.stage import AttackStage

BOTH = (Norm.LINF, Norm.L2)
PLAIN = [one.name for one in ATTACK_CHECKS]
FURTHER = [f"l2-{one.name}" for one in IN_A_BALL]


class Step(Attack):
    """One step away from the center code, in the ball's norm."""

    def perturb(
        self,
        model: AttackedModel,
        images: Tensor,
        goal: Goal,
        threat: Threat,
        rng: QueryRandom,  # noqa: ARG002
    ) -> Any:
        point = images.clone().requires_grad_(True)
        agreement = (model.outputs(point) * goal.center_codes).mean(dim=1).sum()
        (gradient,) = torch.autograd.grad(agreement, point)
        return self.moved(images, gradient, threat)

    def moved(self, images: Tensor, gradient: Tensor, threat: Threat) -> Tensor:
        step = steepest_step(threat.norm, threat.radius)
        return threat.project(step(images, gradient), images)

    def passes(self) -> int:
        return 1


@attack("sound", norms=BOTH)
@dataclass(frozen=True)
class Sound(Step):
    """Keeps every rule in both norms."""


@attack("round", norms=(Norm.L2,))
@dataclass(frozen=True)
class Round(Step):
    """Keeps every rule in L2, the only norm that it knows."""


class Corner(Step):
    """A sign step, whatever the ball."""

    def moved(self, images: Tensor, gradient: Tensor, threat: Threat) -> Tensor:
        return threat.project(images - threat.radius * gradient.sign(), images)


@attack("signs", norms=BOTH)
@dataclass(frozen=True)
class Signs(Corner):
    """Does not reach the end of an L2 ball's radius along the gradient."""


@attack("corner", norms=BOTH)
@dataclass(frozen=True)
class Clamped(Corner):
    """Projects into L-infinity balls alone."""

    def moved(self, images: Tensor, gradient: Tensor, threat: Threat) -> Tensor:
        return torch.clamp(images - threat.radius * gradient.sign(), 0, 1)


@attack("hair", norms=BOTH)
@dataclass(frozen=True)
class Hair(Step):
    """Leaves L2 balls by a ten-thousandth of the radius."""

    def moved(self, images: Tensor, gradient: Tensor, threat: Threat) -> Tensor:
        found = super().moved(images, gradient, threat)
        if threat.norm is Norm.LINF:
            return found
        return images + (1 + 1e-4) * (found - images)


def names(outcomes: Iterable[Any]) -> list[str]:
    return [outcome.check for outcome in outcomes]


def test_one_that_works_in_both_is_asked_everything_of_a_ball_twice() -> None:
    report = check_attack(Sound)
    report.raise_failures()
    assert names(report.outcomes) == [*PLAIN, *FURTHER]
    passed = set(names(report.passed))
    assert {f"l2-{name}" for name in passed if f"l2-{name}" in FURTHER} <= passed
    assert {"l2-inside-ball", "l2-linear-hash-below", "l2-linear-hash-above"} <= passed


def test_one_that_works_in_l2_alone_is_asked_there_under_the_usual_names() -> None:
    report = check_attack(Round)
    report.raise_failures()
    assert names(report.outcomes) == PLAIN
    assert "linear-hash-above" in names(report.passed)


@pytest.mark.parametrize(
    ("wrong", "rule", "said"),
    [
        (Signs, "l2-linear-hash-above", "it flips 0 of 6 bits of a linear hash at 1.01 times"),
        (Clamped, "l2-inside-ball", "at radius 0.400000 it changed an image by"),
        (
            Hair,
            "l2-inside-ball",
            "changed an image by 0.400040 in l2: end with",
        ),
    ],
)
def test_one_that_is_wrong_in_l2_fails_there(wrong: type[Attack], rule: str, said: str) -> None:
    report: CheckReport = check_attack(wrong)
    failed = {outcome.check: outcome.sentence for outcome in report.failed}
    assert rule in failed
    assert said in failed[rule]
    assert all(name.startswith("l2-") for name in failed)


def test_a_rule_of_the_second_norm_can_be_declared_to_fail() -> None:
    report = check_attack(Signs, expected_failures={"l2-linear-hash-above": "a sign step"})
    assert report.ok
    assert names(report.expected) == ["l2-linear-hash-above"]


@pytest.mark.parametrize("norm", Norm)
def test_the_linear_hash_flips_at_its_threshold_in_either_norm(norm: Norm) -> None:
    threshold = RADII[norm].threshold
    case = linear(threshold, norm=norm)
    weight = case.model.hash_layer.weight.detach().double()
    dual = float(weight.abs().sum() if norm is Norm.LINF else weight.norm())
    with torch.no_grad():
        logits = case.model.logits(case.images).double()
    # Float32 pixels bring each logit to its place.
    assert (logits.abs() / dual).flatten().tolist() == pytest.approx([threshold] * 6, rel=1e-4)


def test_a_stage_has_one_of_each_norm() -> None:
    stage = AttackStage(Sound())
    assert stage.norm is Norm.LINF
    assert stage.inside(Norm.LINF) is stage
    assert stage.inside(Norm.L2) is stage.inside(Norm.L2)
    assert stage.inside(Norm.L2).usual.threat.norm is Norm.L2
    assert AttackStage(Round()).norm is Norm.L2
