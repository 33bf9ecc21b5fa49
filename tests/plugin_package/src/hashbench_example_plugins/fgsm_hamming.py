"""An attack: one step along the sign of the gradient. It knows hashbench's public API only."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from hashbench import UsageError
from hashbench.attacking import AttackedModel, Goal, QueryRandom, Threat
from hashbench.plugins import Attack, attack


# What users type, what it is based on, and named sets of parameters (`fgsm-hamming@unsaturated`).
# Left at their defaults: `access` (gradient) and `knowledge` (labels and training codes), which is
# what the center codes below need.
@attack(
    "fgsm-hamming",
    cite="Goodfellow et al., Explaining and Harnessing Adversarial Examples, ICLR 2015",
    version="1",
    presets={"unsaturated": {"alpha": 0.1}},
)
@dataclass(frozen=True)
class FGSMHamming(Attack):
    """Push the query's code away from its center code by one signed-gradient step.

    Returns `x - reach * eps * sign(d/dx mean_k u_k(x) c_k)`, u the outputs and c the center code:
    the fast gradient sign method (Goodfellow et al., section 4) on a hashing model's outputs.

    Attributes:
        reach: length of the step as a share of the radius, above 0; what lies outside of the ball
            is cut off by hashbench.
        alpha: scale of the tanh, above 0; small values keep outputs away from saturation, where the
            gradient vanishes.
    """

    reach: float = 1.0
    alpha: float = 1.0

    def __post_init__(self) -> None:
        # Parameters are checked where they are made, so that a run refuses them before it starts.
        if self.reach <= 0 or self.alpha <= 0:
            raise UsageError(
                f"reach and alpha must be above 0, found {self.reach} and {self.alpha}"
            )

    def perturb(
        self,
        model: AttackedModel,
        images: Tensor,
        goal: Goal,
        threat: Threat,
        rng: QueryRandom,  # noqa: ARG002 - nothing is drawn
    ) -> Tensor:
        """Return perturbed images, (B, C, H, W); see `Attack.perturb`."""
        point = images.clone().requires_grad_(True)  # `images` itself must stay as it is
        agreement = (model.outputs(point, self.alpha) * goal.center_codes).mean(dim=1)
        # Summed over the batch, never averaged: a query's gradient must not depend on the others.
        (gradient,) = torch.autograd.grad(agreement.sum(), point)
        return threat.project(images - self.reach * threat.radius * gradient.sign(), images)

    def passes(self) -> int:
        """One forward and backward pass per query, for the time estimate."""
        return 1
