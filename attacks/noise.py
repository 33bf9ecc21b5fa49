"""The control: noise of the same size, blind to the model."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from typing_extensions import override

from hashbench.attacking import AttackedModel, Goal, QueryRandom, Threat
from hashbench.plugins import Access, Attack, attack


@attack("noise", access=Access.NONE, knowledge=())
@dataclass(frozen=True)
class Noise(Attack):
    """Control: every pixel at a random end of the ball; an attack must do better than this."""

    @override
    def perturb(
        self,
        model: AttackedModel,  # blind by design
        images: Tensor,
        goal: Goal,  # blind by design
        threat: Threat,
        rng: QueryRandom,
    ) -> Tensor:
        """Return `images` plus or minus the radius, each sign with probability one half."""
        coin = rng.uniform(images.shape[1:])
        ends = images + threat.radius * torch.where(coin < 0.5, -1.0, 1.0)
        return threat.project(ends, images)

    @override
    def passes(self) -> int:
        """It takes no gradient."""
        return 0
