"""Evaluation: the threat, what an attack is given, the shared descent loop, and the harness."""

from __future__ import annotations

from hashbench.eps import Eps
from hashbench.evaluation.anchors import anchor_codes
from hashbench.evaluation.annealed import AnnealedDescent, logit_scale
from hashbench.evaluation.attacker import AttackerSetup, Sizes
from hashbench.evaluation.checks import check_descent
from hashbench.evaluation.goal import Goal, Known, OwnModel
from hashbench.evaluation.harness import AttackerView, AttackOutcome, SurrogateView, run_attack
from hashbench.evaluation.projected import (
    AdamStep,
    BatchLoss,
    Direction,
    MomentumStep,
    SignStep,
    descend,
    gradient_of,
)
from hashbench.evaluation.randomness import QueryRandom
from hashbench.evaluation.schedule import AlphaSchedule
from hashbench.evaluation.sign_descent import OutputLoss, SignDescent
from hashbench.evaluation.smooth_precision import (
    KnownRanking,
    SmoothPrecision,
    smoothing_kernel,
)
from hashbench.evaluation.square_search import check_search, square_search
from hashbench.evaluation.step_rules import Momentum, StepRule, StepSchedule
from hashbench.evaluation.target import AttackedModel
from hashbench.evaluation.threat import Threat
from hashbench.evaluation.worst_case import WorstCase

__all__ = [
    "AdamStep",
    "AlphaSchedule",
    "AnnealedDescent",
    "AttackOutcome",
    "AttackedModel",
    "AttackerSetup",
    "AttackerView",
    "BatchLoss",
    "Direction",
    "Eps",
    "Goal",
    "Known",
    "KnownRanking",
    "Momentum",
    "MomentumStep",
    "OutputLoss",
    "OwnModel",
    "QueryRandom",
    "SignDescent",
    "SignStep",
    "Sizes",
    "SmoothPrecision",
    "StepRule",
    "StepSchedule",
    "SurrogateView",
    "Threat",
    "WorstCase",
    "anchor_codes",
    "check_descent",
    "check_search",
    "descend",
    "gradient_of",
    "logit_scale",
    "run_attack",
    "smoothing_kernel",
    "square_search",
]
