# mypy: allow-untyped-defs
from dataclasses import dataclass

import torch

from hashbench.plugins import Attack, attack


@attack("sign-step")
@dataclass(frozen=True)
class SignStep(Attack):
    """One step along the gradient's sign, from a random point of the ball."""

    reach: float = 1.0  # length of the step in radii

    def perturb(self, model, images, goal, threat, rng):
        point = images + rng.uniform(images.shape[1:], -threat.radius, threat.radius)
        agreement = (model.outputs(point.requires_grad_()) * goal.center_codes).sum()
        (gradient,) = torch.autograd.grad(agreement, point)
        return threat.project(point - self.reach * threat.radius * gradient.sign(), images)
