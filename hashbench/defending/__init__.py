"""What defenses are made of: adversarial, center-guided and box training, input transformations."""

from __future__ import annotations

from hashbench.defending.adversarial import AdversarialTraining, InnerAttack
from hashbench.defending.box_training import (
    BoxLoss,
    BoxSchedule,
    BoxTraining,
    mean_codes,
    refuse_unbounded,
)
from hashbench.defending.center_guided import (
    CenterGuidedTraining,
    CenterTerms,
    MainstayRule,
    SharedMemory,
    mainstay_centers,
)
from hashbench.defending.setup import Budget, DefenseSetup
from hashbench.defending.starts import Start, start_afresh
from hashbench.defending.transformed import (
    InputTransformation,
    TransformedModel,
    WrappedModel,
    straight_through,
)

__all__ = [
    "AdversarialTraining",
    "BoxLoss",
    "BoxSchedule",
    "BoxTraining",
    "Budget",
    "CenterGuidedTraining",
    "CenterTerms",
    "DefenseSetup",
    "InnerAttack",
    "InputTransformation",
    "MainstayRule",
    "SharedMemory",
    "Start",
    "TransformedModel",
    "WrappedModel",
    "mainstay_centers",
    "mean_codes",
    "refuse_unbounded",
    "start_afresh",
    "straight_through",
]
