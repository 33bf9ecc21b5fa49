"""Training recipes: optimiser, learning rate, schedule, epochs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

import torch
from torch.nn import Parameter

from hashbench.errors import UsageError
from hashbench.hashing.augment import Augment


class OptimizerName(StrEnum):
    """Which optimiser a recipe uses."""

    SGD = "sgd"
    ADAM = "adam"


@dataclass(frozen=True)
class Recipe:
    """How a model is trained, whatever its loss.

    Attributes:
        epochs: passes over the train set; 0 trains nothing.
        batch: images per step.
        optimizer: which one.
        learning_rate: at the start.
        momentum: of SGD, or Adam's first beta.
        weight_decay: as torch defines it for the optimiser.
        milestones: fractions of all steps at which the rate is multiplied by `gamma`.
        gamma: that factor.
        float_milestones: keep the steps of the milestones as fractions, as CgAT's and SAAT's
            scripts do: a milestone that is no whole number is never reached, so its decay is lost.
        augment: what is done at random to each image of a batch.
    """

    epochs: int
    batch: int = 32
    optimizer: OptimizerName = OptimizerName.SGD
    learning_rate: float = 0.01
    momentum: float = 0.9
    weight_decay: float = 5e-4
    milestones: tuple[float, ...] = (0.5, 0.75)
    gamma: float = 0.1
    float_milestones: bool = False
    augment: Augment = Augment.NONE

    def __post_init__(self) -> None:
        for name, least in (("epochs", 0), ("batch", 1)):
            if getattr(self, name) < least:
                raise UsageError(f"{name} must be {least} or more, found {getattr(self, name)}")
        if not self.learning_rate > 0:
            raise UsageError(f"learning_rate must be above 0, found {self.learning_rate}")
        if any(not 0 < fraction <= 1 for fraction in self.milestones):
            raise UsageError(f"milestones must lie in (0, 1], found {list(self.milestones)}")

    def build_optimizer(self, parameters: Iterable[Parameter]) -> torch.optim.Optimizer:
        """The optimiser over these parameters."""
        if self.optimizer is OptimizerName.ADAM:
            return torch.optim.Adam(
                parameters,
                lr=self.learning_rate,
                betas=(self.momentum, 0.999),
                weight_decay=self.weight_decay,
            )
        return torch.optim.SGD(
            parameters,
            lr=self.learning_rate,
            momentum=self.momentum,
            weight_decay=self.weight_decay,
        )

    def rate_at(self, step: int, steps: int) -> float:
        """The learning rate of step `step` of `steps`, counted from 0."""
        passed = 0
        for fraction in self.milestones:
            at = fraction * steps
            if self.float_milestones and at != int(at):
                continue
            passed += step >= int(at)
        rate: float = self.learning_rate * self.gamma**passed
        return rate
