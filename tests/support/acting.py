"""An attack that does whatever a test tells it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor
from typing_extensions import override

from hashbench.attacking import AttackedModel, Goal, QueryRandom, Threat
from hashbench.plugins import Attack, attack

Act = Callable[[AttackedModel, Tensor, Goal], Tensor]


@attack("actor")
@dataclass(frozen=True)
class Actor(Attack):
    """Does whatever a function does with model, images and goal."""

    act: Act

    @override
    def perturb(
        self,
        model: AttackedModel,
        images: Tensor,
        goal: Goal,
        threat: Threat,
        rng: QueryRandom,
    ) -> Tensor:
        return self.act(model, images, goal)
