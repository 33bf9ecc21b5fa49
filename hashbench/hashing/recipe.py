"""Training recipes: optimiser, learning rate, schedule, epochs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from typing import Any, Final

import torch
from torch.nn import Parameter

from hashbench.errors import UsageError
from hashbench.hashing.augment import Augment


class OptimizerName(StrEnum):
    """Which optimiser a recipe uses."""

    SGD = "sgd"
    ADAM = "adam"


class RateShape(StrEnum):
    """How the learning rate changes over the steps of a training; p is the share that is done."""

    MILESTONES = "milestones"
    """It is multiplied by `gamma` at each milestone."""

    WARM_UP_LINEAR = "warm-up-linear"
    """It rises over the first tenth of the steps, and falls in a line over the second half:
    `min(1, p / 0.1 + 0.05) * min(1, (1 - p) / 0.5)` times the rate."""


_LATER: Final = frozenset({"rate_shape", "clip_norm"})
"""Fields that version 0.1 did not have."""


@dataclass(frozen=True)
class Recipe:
    """How a model is trained, whatever its loss.

    Attributes:
        epochs: passes over the train set; 0 trains nothing.
        batch: images per step.
        optimizer: which one.
        learning_rate: at the start; the largest one, where `rate_shape` has a warm-up.
        momentum: of SGD, or Adam's first beta.
        weight_decay: as torch defines it for the optimiser.
        milestones: fractions of all steps at which the rate is multiplied by `gamma`.
        gamma: that factor.
        float_milestones: keep the steps of the milestones as fractions, as CgAT's and SAAT's
            scripts do: a milestone that is no whole number is never reached, so its decay is lost.
        augment: what is done at random to each image of a batch.
        rate_shape: how the rate changes; milestones count for `milestones` alone.
        clip_norm: a gradient that is longer, over all parameters together, is cut to this length
            (Euclidean); `None` cuts none.
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
    rate_shape: RateShape = RateShape.MILESTONES
    clip_norm: float | None = None

    def __post_init__(self) -> None:
        for name, least in (("epochs", 0), ("batch", 1)):
            if getattr(self, name) < least:
                raise UsageError(f"{name} must be {least} or more, found {getattr(self, name)}")
        if not self.learning_rate > 0:
            raise UsageError(f"learning_rate must be above 0, found {self.learning_rate}")
        if any(not 0 < fraction <= 1 for fraction in self.milestones):
            raise UsageError(f"milestones must lie in (0, 1], found {list(self.milestones)}")
        if self.clip_norm is not None and not self.clip_norm > 0:
            raise UsageError(f"clip_norm must be above 0, found {self.clip_norm}")

    def described(self) -> dict[str, Any]:
        """Plain data, for keys and cards.

        A field that came later is said where it is not the default alone: what was stored before it
        could be said is still found.
        """
        said = asdict(self)
        for field in fields(self):
            if field.name in _LATER and said[field.name] == field.default:
                del said[field.name]
        return said

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
        if self.rate_shape is RateShape.WARM_UP_LINEAR:
            done = step / steps
            return self.learning_rate * min(1.0, done / 0.1 + 0.05) * min(1.0, (1 - done) / 0.5)
        passed = 0
        for fraction in self.milestones:
            at = fraction * steps
            if self.float_milestones and at != int(at):
                continue
            passed += step >= int(at)
        rate: float = self.learning_rate * self.gamma**passed
        return rate
