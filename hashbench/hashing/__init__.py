"""Hashing models: backbone and hash layer, losses, recipes, the one trainer, checkpoints."""

from __future__ import annotations

from hashbench.hashing.augment import Augment
from hashbench.hashing.backbone import BackboneNet, InputSpec
from hashbench.hashing.checkpoint import load_checkpoint, save_checkpoint
from hashbench.hashing.encode import encode
from hashbench.hashing.model import HashModel, codes_of
from hashbench.hashing.objective import Batch, BoundLoss, Objective
from hashbench.hashing.recipe import OptimizerName, Recipe
from hashbench.hashing.setup import LossSetup
from hashbench.hashing.similarity import batch_centers, relevant
from hashbench.hashing.trainer import train

__all__ = [
    "Augment",
    "BackboneNet",
    "Batch",
    "BoundLoss",
    "HashModel",
    "InputSpec",
    "LossSetup",
    "Objective",
    "OptimizerName",
    "Recipe",
    "batch_centers",
    "codes_of",
    "encode",
    "load_checkpoint",
    "relevant",
    "save_checkpoint",
    "train",
]
