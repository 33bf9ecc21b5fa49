"""What attacks are made of: the threat, what an attacker is given, descents, the harness."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hashbench.attacking.alpha_schedule import AlphaSchedule
from hashbench.attacking.anchors import anchor_codes
from hashbench.attacking.annealed_descent import AnnealedDescent, logit_scale
from hashbench.attacking.attacked_model import AttackedModel
from hashbench.attacking.attacker import Attacker, SurrogateModel
from hashbench.attacking.ball import drawn_at_edge, drawn_inside
from hashbench.attacking.bit_descent import BitDescent, match_threshold
from hashbench.attacking.class_attack import ClassAttack
from hashbench.attacking.classifier import Classifier, as_classifier
from hashbench.attacking.cosine_search import check_cosines, cosine_search
from hashbench.attacking.descent import (
    AdamStep,
    BatchLoss,
    Direction,
    L2Step,
    MomentumStep,
    SignStep,
    adam_reach,
    check_descent,
    descend,
    gradient_of,
    steepest_step,
)
from hashbench.attacking.foreign import Seeding, call_seeded
from hashbench.attacking.generators import seeded
from hashbench.attacking.goal import Goal, Known, OwnModel
from hashbench.attacking.harness import AttackOutcome, run_attack
from hashbench.attacking.prototypes import (
    PrototypeTargets,
    Sides,
    circle_loss,
    prototype_loss,
    prototype_network,
    target_rows,
)
from hashbench.attacking.randomness import QueryRandom
from hashbench.attacking.setup import AttackerSetup, NetworkSizes
from hashbench.attacking.sign_descent import OutputLoss, SignDescent
from hashbench.attacking.smooth_precision import (
    KnownRanking,
    SmoothPrecision,
    smoothing_kernel,
)
from hashbench.attacking.square_search import check_search, square_search
from hashbench.attacking.step_rules import Momentum, StepRule, StepSchedule
from hashbench.attacking.threat import Threat
from hashbench.attacking.worst_case import WorstCase
from hashbench.deprecated import former_names
from hashbench.eps import Eps, Norm

__all__ = [
    "AdamStep",
    "AlphaSchedule",
    "AnnealedDescent",
    "AttackOutcome",
    "AttackedModel",
    "Attacker",
    "AttackerSetup",
    "BatchLoss",
    "BitDescent",
    "ClassAttack",
    "Classifier",
    "Direction",
    "Eps",
    "Goal",
    "Known",
    "KnownRanking",
    "L2Step",
    "Momentum",
    "MomentumStep",
    "NetworkSizes",
    "Norm",
    "OutputLoss",
    "OwnModel",
    "PrototypeTargets",
    "QueryRandom",
    "Seeding",
    "Sides",
    "SignDescent",
    "SignStep",
    "SmoothPrecision",
    "StepRule",
    "StepSchedule",
    "SurrogateModel",
    "Threat",
    "WorstCase",
    "adam_reach",
    "anchor_codes",
    "as_classifier",
    "call_seeded",
    "check_cosines",
    "check_descent",
    "check_search",
    "circle_loss",
    "cosine_search",
    "descend",
    "drawn_at_edge",
    "drawn_inside",
    "gradient_of",
    "logit_scale",
    "match_threshold",
    "prototype_loss",
    "prototype_network",
    "run_attack",
    "seeded",
    "smoothing_kernel",
    "square_search",
    "steepest_step",
    "target_rows",
]

_FORMER = {"Sizes": "hashbench.attacking.NetworkSizes"}

if not TYPE_CHECKING:
    __getattr__ = former_names(__name__, _FORMER, gone="0.2")
