"""What a trained defense is granted, and what it is handed when its training begins."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from hashbench.data.images import Pixels
from hashbench.eps import Eps, Norm
from hashbench.errors import UsageError
from hashbench.hashing.model import HashModel
from hashbench.hashing.objective import BoundLoss


@dataclass(frozen=True)
class Budget:
    """What a suite grants to every trained defense alike, so that none wins by training longer.

    Attributes:
        epochs: passes over the train set.
        inner_steps: steps of the attack inside adversarial training.
        eps: the radius of that attack, of L-infinity.
    """

    epochs: int
    inner_steps: int
    eps: Eps

    def __post_init__(self) -> None:
        if self.epochs < 0 or self.inner_steps < 0:
            raise UsageError("the budget's epochs and inner_steps must be 0 or more")
        if self.eps.norm is not Norm.LINF:
            raise UsageError(
                f"a defense is trained inside linf balls, and eps is {self.eps}: give a radius "
                "such as 8/255"
            )


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
        images: the train set's images, uint8 (N, C, H, W), read from the disk only where they are
            asked for; `None` where whoever trains hands none over.
    """

    model: HashModel
    loss: BoundLoss
    outputs: Tensor
    labels: Tensor
    database_labels: Tensor
    budget: Budget
    generator: torch.Generator
    images: Pixels | None = field(default=None, repr=False, compare=False)
