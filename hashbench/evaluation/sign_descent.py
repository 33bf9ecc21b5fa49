"""What attacks share that descend on a loss of the outputs by sign steps: all but the loss."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from hashbench.evaluation.checks import check_descent
from hashbench.evaluation.goal import Goal
from hashbench.evaluation.projected import SignStep, descend
from hashbench.evaluation.randomness import QueryRandom
from hashbench.evaluation.schedule import AlphaSchedule
from hashbench.evaluation.target import AttackedModel
from hashbench.evaluation.threat import Threat
from hashbench.plugins.contracts import Attack

OutputLoss = Callable[[Tensor], Tensor]
"""Outputs u (B, K) -> one loss per query (B,), to be minimised."""


@dataclass(frozen=True)
class SignDescent(Attack):
    """Projected descent with sign steps (Madry et al., ICLR 2018) on a loss of the outputs.

    Attributes:
        steps: number of updates.
        step_size: change of every pixel in one update, in `[0, 1]`.
        random_start: begin at a uniform point of the ball instead of at the image.
        alpha: scale of the tanh over the steps.
    """

    steps: int = 100
    step_size: float = 1 / 255
    random_start: bool = True
    alpha: AlphaSchedule = AlphaSchedule.CONSTANT

    def __post_init__(self) -> None:
        check_descent(self.steps, step_size=self.step_size)

    @abstractmethod
    def loss(self, goal: Goal) -> OutputLoss:
        """What is minimised, given what the attacker knows of these queries."""

    def perturb(
        self,
        model: AttackedModel,
        images: Tensor,
        goal: Goal,
        threat: Threat,
        rng: QueryRandom,
    ) -> Tensor:
        """Return perturbed images; see `Attack.perturb`."""
        loss = self.loss(goal)
        start = images
        if self.random_start:
            start = images + rng.uniform(images.shape[1:], -threat.radius, threat.radius)
        return descend(
            lambda point, step: loss(model.outputs(point, self.alpha.at(step, self.steps))),
            images,
            threat,
            steps=self.steps,
            update=SignStep(self.step_size),
            start=start,
        )
