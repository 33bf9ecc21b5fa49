"""What a loss and a defense are handed when a training begins."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from hashbench.hashing.model import HashModel
from hashbench.hashing.objective import BoundLoss
from hashbench.hashing.recipe import Budget


@dataclass(frozen=True)
class LossSetup:
    """The train set as a loss sees it.

    Attributes:
        labels: (N, classes) float32 of 0 and 1.
        bits: code length K.
        generator: for what the loss draws, such as random centers. Seeded by the cell's seed alone,
            so a defense that starts from the base model gets the same centers as the base model.
    """

    labels: Tensor
    bits: int
    generator: torch.Generator


@dataclass(frozen=True)
class DefenseSetup:
    """Everything a trained defense may use.

    Attributes:
        model: the base model, to be trained in place.
        loss: the base model's hashing loss, bound afresh.
        outputs: (N, K) the base model's outputs on the train set, in eval mode, detached.
        labels: (N, classes) the train set's labels, float32.
        database_labels: (M, classes) the database's labels, float32 (ATRDH draws targets of them).
        budget: what every defense gets alike.
        generator: for everything the defense draws.
    """

    model: HashModel
    loss: BoundLoss
    outputs: Tensor
    labels: Tensor
    database_labels: Tensor
    budget: Budget
    generator: torch.Generator
