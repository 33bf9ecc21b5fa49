"""Hashing models: backbone and hash layer, losses, recipes, the one trainer, checkpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hashbench.deprecated import former_names
from hashbench.hashing.augment import Augment
from hashbench.hashing.backbone import BackboneNet, InputSpec
from hashbench.hashing.checkpoint import load_checkpoint, save_checkpoint
from hashbench.hashing.counter_random import CounterRandom
from hashbench.hashing.encode import encode
from hashbench.hashing.kept import Kept
from hashbench.hashing.model import HashModel, codes_of
from hashbench.hashing.objective import Batch, BoundLoss, Objective
from hashbench.hashing.recipe import OptimizerName, RateShape, Recipe
from hashbench.hashing.setup import LossSetup
from hashbench.hashing.similarity import batch_centers, relevant
from hashbench.hashing.similarity_codes import similarity_codes
from hashbench.hashing.trainer import train

__all__ = [
    "Augment",
    "BackboneNet",
    "Batch",
    "BoundLoss",
    "CounterRandom",
    "HashModel",
    "InputSpec",
    "Kept",
    "LossSetup",
    "Objective",
    "OptimizerName",
    "RateShape",
    "Recipe",
    "batch_centers",
    "codes_of",
    "encode",
    "load_checkpoint",
    "relevant",
    "save_checkpoint",
    "similarity_codes",
    "train",
]

# What moved into rooms above this one.
_ATTACKING = ("circle_loss", "prototype_loss", "prototype_network", "target_rows")
_DEFENDING = (
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
)
_FORMER = {
    **{name: f"hashbench.attacking.{name}" for name in _ATTACKING},
    **{name: f"hashbench.defending.{name}" for name in _DEFENDING},
}

if not TYPE_CHECKING:
    __getattr__ = former_names(__name__, _FORMER, gone="0.2")
