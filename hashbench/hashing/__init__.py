"""Hashing models: backbone and hash layer, losses, recipes, the one trainer, checkpoints."""

from __future__ import annotations

from hashbench.hashing.adversarial import AdversarialTraining, InnerAttack
from hashbench.hashing.augment import Augment
from hashbench.hashing.backbone import BackboneNet, InputSpec
from hashbench.hashing.center_guided import (
    CenterGuidedTraining,
    CenterTerms,
    SharedMemory,
    mainstay_centers,
)
from hashbench.hashing.checkpoint import load_checkpoint, save_checkpoint
from hashbench.hashing.encode import encode
from hashbench.hashing.model import HashModel, codes_of
from hashbench.hashing.objective import Batch, BoundLoss, Objective
from hashbench.hashing.prototypes import (
    circle_loss,
    prototype_loss,
    prototype_network,
    target_rows,
)
from hashbench.hashing.recipe import Budget, OptimizerName, Recipe
from hashbench.hashing.setup import DefenseSetup, LossSetup
from hashbench.hashing.similarity import batch_centers, relevant
from hashbench.hashing.trainer import train
from hashbench.hashing.transformed import (
    InputTransformation,
    TransformedModel,
    WrappedModel,
    straight_through,
)

__all__ = [
    "AdversarialTraining",
    "Augment",
    "BackboneNet",
    "Batch",
    "BoundLoss",
    "Budget",
    "CenterGuidedTraining",
    "CenterTerms",
    "DefenseSetup",
    "HashModel",
    "InnerAttack",
    "InputSpec",
    "InputTransformation",
    "LossSetup",
    "Objective",
    "OptimizerName",
    "Recipe",
    "SharedMemory",
    "TransformedModel",
    "WrappedModel",
    "batch_centers",
    "circle_loss",
    "codes_of",
    "encode",
    "load_checkpoint",
    "mainstay_centers",
    "prototype_loss",
    "prototype_network",
    "relevant",
    "save_checkpoint",
    "straight_through",
    "target_rows",
    "train",
]
