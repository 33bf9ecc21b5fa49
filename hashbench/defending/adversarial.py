"""What adversarial trainings of hashing models share: parameters, the inner attack, the memory."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from fractions import Fraction

import torch
from torch import Tensor
from typing_extensions import override

from hashbench.attacking.ball import placed_inside
from hashbench.attacking.descent import descend, steepest_step
from hashbench.attacking.threat import Threat
from hashbench.defending.contract import TrainedDefense
from hashbench.defending.setup import Budget, DefenseSetup
from hashbench.defending.starts import Start, start_afresh
from hashbench.eps import Eps, Norm
from hashbench.errors import UsageError
from hashbench.hashing.augment import Augment
from hashbench.hashing.counter_random import CounterRandom
from hashbench.hashing.encode import evaluating, frozen
from hashbench.hashing.model import HashModel, codes_of
from hashbench.hashing.recipe import OptimizerName, RateShape, Recipe
from hashbench.plugins.parameters import later
from hashbench.plugins.units import PixelSize


@dataclass(frozen=True)
class AdversarialTraining(TrainedDefense):
    """Parameters of every adversarial training; `none` takes the suite's budget.

    Attributes:
        epochs: passes over the train set.
        inner_steps: steps of the inner attack.
        eps: radius of the inner attack.
        inner_step_size: change of a pixel in one inner step, in `[0, 1]`, or in an L2 ball the
            length of one; `none` is a quarter of the radius, the published ratio (2/255 at 8/255).
        random_start: the inner attack begins at a uniform point of the ball.
        training_mode: make codes and inner attacks in training mode too (dropout on, statistics of
            the batch), as the released scripts do, which never leave it. By default codes and inner
            attacks are made in eval mode, the mode that is attacked, and only the losses are
            computed in training mode. The memories' first filling is in eval mode either way.
        augment: what is done at random to each image before it is attacked.
        batch: images per step.
        rate_shape: how the learning rate changes.
        clip_norm: the gradient's greatest length; `none` cuts none.
        start: which weights it begins with; the memories are filled by the base model either way.
        ramp: share of the steps in which the inner attack's radius grows from 0, in a line; at 0 it
            is whole from the start.
    """

    epochs: int | None = None
    inner_steps: int | None = None
    eps: Eps | None = None
    inner_step_size: PixelSize | None = None
    random_start: bool = True
    training_mode: bool = False
    augment: Augment = Augment.NONE
    batch: int = later(32)
    rate_shape: RateShape = later(RateShape.MILESTONES)
    clip_norm: float | None = later(None)
    start: Start = later(Start.BASE)
    ramp: float = later(0.0)

    def __post_init__(self) -> None:
        if self.epochs is not None and self.epochs < 0:
            raise UsageError(f"epochs must be 0 or more, found {self.epochs}")
        if self.inner_steps is not None and self.inner_steps < 0:
            raise UsageError(f"inner_steps must be 0 or more, found {self.inner_steps}")
        if self.inner_step_size is not None and not self.inner_step_size > 0:
            raise UsageError(f"inner_step_size must be above 0, found {self.inner_step_size}")
        if self.batch < 1:
            raise UsageError(f"batch must be 1 or more, found {self.batch}")
        if self.clip_norm is not None and not 0 < self.clip_norm < float("inf"):
            raise UsageError(f"clip_norm must be above 0, found {self.clip_norm}")
        if not 0 <= self.ramp <= 1:
            raise UsageError(f"ramp is a share of the steps, from 0 to 1, found {self.ramp}")

    def granted(self, budget: Budget) -> Budget:
        """The suite's budget, with what this defense was told to do otherwise."""
        return Budget(
            epochs=budget.epochs if self.epochs is None else self.epochs,
            inner_steps=budget.inner_steps if self.inner_steps is None else self.inner_steps,
            eps=budget.eps if self.eps is None else self.eps,
        )

    def stepping(
        self,
        budget: Budget,
        optimizer: OptimizerName,
        *,
        learning_rate: float,
        momentum: float,
        weight_decay: float,
        float_milestones: bool = False,
    ) -> Recipe:
        """A recipe of this training, with an optimiser of the defense's choice."""
        return Recipe(
            epochs=self.granted(budget).epochs,
            batch=self.batch,
            optimizer=optimizer,
            learning_rate=learning_rate,
            momentum=momentum,
            weight_decay=weight_decay,
            float_milestones=float_milestones,
            augment=self.augment,
            rate_shape=self.rate_shape,
            clip_norm=self.clip_norm,
        )

    def begin(self, setup: DefenseSetup) -> None:
        """Give the model the weights that the training begins with."""
        if self.start is Start.SCRATCH:
            start_afresh(setup.model, setup.generator)

    def inner_attack(
        self, model: HashModel, budget: Budget, generator: torch.Generator
    ) -> InnerAttack:
        """The attack that this training defends against."""
        granted = self.granted(budget)
        radius = float(granted.eps)
        return InnerAttack(
            model=model,
            threat=Threat(granted.eps),
            steps=granted.inner_steps,
            step_size=radius / 4 if self.inner_step_size is None else self.inner_step_size,
            random_start=self.random_start,
            training_mode=self.training_mode,
            generator=generator,
            ramp=self.ramp,
        )

    @override
    def passes(self, budget: Budget) -> int:
        """Inner steps, the adversarial and the clean pass."""
        return self.granted(budget).inner_steps + 2


@dataclass
class InnerAttack:
    """Projected gradient descent on `mean_k(u_k * c_k)`, alpha 1, with the norm's steepest steps.

    It also decides in which mode codes are made while the model is trained.
    """

    model: HashModel
    threat: Threat
    steps: int
    step_size: float
    random_start: bool
    training_mode: bool
    generator: torch.Generator
    ramp: float = 0.0

    def at(self, progress: float) -> InnerAttack:
        """The attack when this share of the steps is done: radius and step grow over the ramp."""
        if progress >= self.ramp:
            return self
        eps, share = self.threat.eps, progress / self.ramp
        grown = replace(eps, fraction=eps.fraction * Fraction(share), text=f"{share} * {eps.text}")
        threat = replace(self.threat, eps=grown)
        return replace(self, threat=threat, step_size=self.step_size * share)

    def away_from(self, images: Tensor, codes: Tensor) -> Tensor:
        """Images whose outputs are pushed away from `codes` (B, K)."""
        with frozen(self.model), self._mode():
            return descend(
                lambda point, _: (self.model.outputs(point) * codes).mean(dim=1),
                images,
                self.threat,
                steps=self.steps,
                update=steepest_step(self.threat.norm, self.step_size),
                start=images + self.noise(images) if self.random_start else images,
            )

    def towards(self, images: Tensor, codes: Tensor) -> Tensor:
        """Images whose outputs are pulled to `codes` (B, K)."""
        return self.away_from(images, -codes)

    def codes(self, images: Tensor, outputs: Tensor) -> Tensor:
        """Codes of clean images for a memory, (B, K) of +1 and -1 in the type of `outputs`.

        Args:
            images: the batch.
            outputs: its outputs in training mode, which are signed where codes are made in it.
        """
        if self.training_mode:
            return codes_of(outputs).to(outputs)
        with self._mode():
            return self.model.codes(images).to(outputs)

    def noise(self, images: Tensor) -> Tensor:
        """Where a random start lies: uniform in the ball.

        The generator gives a seed, from which the device draws the same numbers as any other.
        """
        random = CounterRandom.drawn_from(self.generator, images.device)
        radius = self.threat.radius
        if self.threat.norm is Norm.LINF:
            return random.uniform(images.shape, -radius, radius)[0]
        normal, uniform = random.normal(images.shape)[0], random.uniform((len(images),))[0]
        return placed_inside(normal, uniform, radius)

    def _mode(self) -> AbstractContextManager[None]:
        return nullcontext() if self.training_mode else evaluating(self.model)
