"""Defending: what defenses are made of. Adversarial training, prototypes, input transformations."""

from __future__ import annotations

from hashbench.defending.adversarial import AdversarialTraining, InnerAttack
from hashbench.defending.center_guided import (
    CenterGuidedTraining,
    CenterTerms,
    SharedMemory,
    mainstay_centers,
)
from hashbench.defending.prototypes import (
    circle_loss,
    prototype_loss,
    prototype_network,
    target_rows,
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
    "circle_loss",
    "mainstay_centers",
    "prototype_loss",
    "prototype_network",
    "straight_through",
    "target_rows",
]
