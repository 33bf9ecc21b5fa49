"""Descent on a loss of scaled outputs that sharpen while the steps shrink."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from hashbench.attacking.attacked_model import AttackedModel
from hashbench.attacking.descent import (
    BatchLoss,
    check_descent,
    descend,
    gradient_of,
    steepest_step,
)
from hashbench.attacking.step_rules import Momentum, StepSchedule
from hashbench.attacking.threat import Threat
from hashbench.errors import UsageError


@dataclass(frozen=True)
class AnnealedDescent:
    """Steps with momentum and a cosine decay on a loss of `tanh(a z / s)`, a rising.

    Sign steps in L-infinity, steps down the gradient in L2: a share of the ball's radius long.

    s is each query's own (`logit_scale`), so no batch enters, and the scale of a model's logits
    plays no part. A small a makes the outputs smooth at first, a large one brings them near the
    signs at the end.

    Attributes:
        steps: T, number of updates.
        alpha_start: a in the first step.
        alpha_end: a in the last step; in between it rises by one factor a step.
        first_step: size of the first step, as a share of the ball's radius; that of step t of T is
            `(1 + cos(pi t / T)) / 2` times it.
        momentum: share of the accumulated gradient that is kept (MI-FGSM; Dong et al., CVPR 2018).
    """

    steps: int
    alpha_start: float
    alpha_end: float
    first_step: float
    momentum: float

    def __post_init__(self) -> None:
        check_descent(
            self.steps,
            alpha_start=self.alpha_start,
            alpha_end=self.alpha_end,
            first_step=self.first_step,
        )
        if not 0 <= self.momentum < 1:
            raise UsageError(f"momentum must be from 0 to below 1, found {self.momentum}")

    def alpha(self, step: int) -> float:
        """Scale a of the tanh in a step, counted from 0."""
        done = step / max(1, self.steps - 1)
        return float(self.alpha_start ** (1 - done) * self.alpha_end**done)

    def reach(self, radius: float) -> float:
        """How far its steps together can move a pixel, or in L2 an image: the sum of their sizes.

        Args:
            radius: of the ball, in `[0, 1]` pixels.
        """
        return StepSchedule.COSINE.total(self.first_step * radius, self.steps)

    def run(
        self,
        loss: Callable[[Tensor], Tensor],
        model: AttackedModel,
        images: Tensor,
        threat: Threat,
        *,
        scale: Tensor | float,
        start: Tensor,
    ) -> Tensor:
        """Minimise the loss over the ball around each image: one pass each way a step and draw.

        Args:
            loss: of scaled outputs (B, K), one value per query (B,).
            model: the attacked model.
            images: the clean images (B, C, H, W) in `[0, 1]`.
            threat: the ball.
            scale: s, (B, 1).
            start: where to begin, like `images`.

        Returns:
            The last point: like `images`, in the ball and the box.
        """

        def of_images(point: Tensor, step: int) -> Tensor:
            alpha = self.alpha(step)
            return model.expected_loss_of_logits(
                lambda logits: loss(torch.tanh(alpha * (logits / scale))), point
            )

        first = self.first_step * threat.radius
        return descend(
            of_images,
            images,
            threat,
            steps=self.steps,
            update=steepest_step(threat.norm, StepSchedule.COSINE.sizes(first, self.steps)),
            direction=Momentum(_finite_gradient, self.momentum, norm=threat.norm),
            start=start,
        )


def logit_scale(logits: Tensor) -> Tensor:
    """Each query's s, (B, 1): the median of `|z|` over its bits; where that is 0 the mean, or 1.

    Args:
        logits: z of the clean images, (B, K).
    """
    size = logits.detach().abs()
    scale = size.median(dim=1, keepdim=True).values
    scale = torch.where(scale > 0, scale, size.mean(dim=1, keepdim=True))
    return torch.where((scale > 0) & scale.isfinite(), scale, 1.0)


def _finite_gradient(loss: BatchLoss, point: Tensor, step: int) -> Tensor:
    # A single NaN would stay in the momentum for good.
    return gradient_of(loss, point, step).nan_to_num(0.0, 0.0, 0.0)
