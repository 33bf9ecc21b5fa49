"""A plugin file: attacks that never ask the model, in balls of one norm or of both."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from typing_extensions import override

from hashbench.attacking import AttackedModel, Goal, QueryRandom, Threat
from hashbench.plugins import Access, Attack, Norm, attack


@attack("both", access=Access.NONE, knowledge=(), norms=(Norm.LINF, Norm.L2))
@dataclass(frozen=True)
class Both(Attack):
    """One step of a fixed L2 length in a random direction, projected into the ball."""

    length: float = 4.0

    @override
    def perturb(
        self,
        model: AttackedModel,
        images: Tensor,
        goal: Goal,
        threat: Threat,
        rng: QueryRandom,
    ) -> Tensor:
        coin = rng.uniform(images.shape[1:])
        pixels = images[0].numel()
        step = self.length / pixels**0.5 * torch.where(coin < 0.5, -1.0, 1.0)
        return threat.project(images + step, images)

    @override
    def passes(self) -> int:
        return 0


@attack("flat", access=Access.NONE, knowledge=(), norms=(Norm.LINF,))
@dataclass(frozen=True)
class Flat(Both):
    """The same in L-infinity balls alone."""


@attack("ball", access=Access.NONE, knowledge=(), norms=(Norm.L2,))
@dataclass(frozen=True)
class Ball(Both):
    """The same in L2 balls alone."""
