"""Evaluation: the threat, what an attack is given, the shared descent loop, and the harness."""

from __future__ import annotations

from hashbench.eps import Eps
from hashbench.evaluation.attacker import AttackerSetup, Sizes
from hashbench.evaluation.checks import check_descent
from hashbench.evaluation.goal import Goal, Known, OwnModel
from hashbench.evaluation.harness import AttackerView, AttackOutcome, SurrogateView, run_attack
from hashbench.evaluation.projected import (
    AdamStep,
    Direction,
    MomentumStep,
    SignStep,
    descend,
    gradient_of,
)
from hashbench.evaluation.randomness import QueryRandom
from hashbench.evaluation.schedule import AlphaSchedule
from hashbench.evaluation.sign_descent import OutputLoss, SignDescent
from hashbench.evaluation.step_rules import Momentum, StepRule, StepSchedule
from hashbench.evaluation.target import AttackedModel
from hashbench.evaluation.threat import Threat

__all__ = [
    "AdamStep",
    "AlphaSchedule",
    "AttackOutcome",
    "AttackedModel",
    "AttackerSetup",
    "AttackerView",
    "Direction",
    "Eps",
    "Goal",
    "Known",
    "Momentum",
    "MomentumStep",
    "OutputLoss",
    "OwnModel",
    "QueryRandom",
    "SignDescent",
    "SignStep",
    "Sizes",
    "StepRule",
    "StepSchedule",
    "SurrogateView",
    "Threat",
    "check_descent",
    "descend",
    "gradient_of",
    "run_attack",
]
