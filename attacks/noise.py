"""The control: noise of the same size, blind to the model."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from typing_extensions import override

from hashbench.attacking import AttackedModel, Goal, QueryRandom, Threat, drawn_at_edge
from hashbench.plugins import Access, Attack, Norm, attack


@attack("noise", access=Access.NONE, knowledge=(), norms=(Norm.LINF, Norm.L2))
@dataclass(frozen=True)
class Noise(Attack):
    """Control: every pixel at a random end of the ball; an attack must do better than this.

    In an L2 ball: a change as long as the radius, in a random direction.
    """

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
        ends = images + drawn_at_edge(threat.norm, threat.radius, images.shape[1:], rng)
        return threat.project(ends, images)

    @override
    def passes(self) -> int:
        """It takes no gradient."""
        return 0
