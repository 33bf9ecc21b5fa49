"""What defenses are made of: adversarial and center-guided training, input transformations."""

from __future__ import annotations

from hashbench.defending.adversarial import AdversarialTraining, InnerAttack
from hashbench.defending.center_guided import (
    CenterGuidedTraining,
    CenterTerms,
    SharedMemory,
    mainstay_centers,
)
from hashbench.defending.setup import Budget, DefenseSetup
from hashbench.defending.transformed import (
    InputTransformation,
    TransformedModel,
    WrappedModel,
    straight_through,
)

__all__ = [
    "AdversarialTraining",
    "Budget",
    "CenterGuidedTraining",
    "CenterTerms",
    "DefenseSetup",
    "InnerAttack",
    "InputTransformation",
    "SharedMemory",
    "TransformedModel",
    "WrappedModel",
    "mainstay_centers",
    "straight_through",
]
