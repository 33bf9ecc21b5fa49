"""An attack that does whatever a test tells it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from hashbench.attacking import AttackedModel, Goal, QueryRandom, Threat
from hashbench.plugins import Attack, attack

Act = Callable[[AttackedModel, Tensor, Goal], Tensor]


@attack("actor")
@dataclass(frozen=True)
class Actor(Attack):
    """Does whatever a function does with model, images and goal."""

    act: Act

    def perturb(
        self,
        model: AttackedModel,
        images: Tensor,
        goal: Goal,
        threat: Threat,  # noqa: ARG002
        rng: QueryRandom,  # noqa: ARG002
    ) -> Tensor:
        return self.act(model, images, goal)
