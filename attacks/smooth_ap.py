"""Smooth average precision: descends on what an attacker wants, not on a code in its place."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from typing_extensions import override

from hashbench.attacking import (
    AnnealedDescent,
    AttackedModel,
    Goal,
    KnownRanking,
    QueryRandom,
    SmoothPrecision,
    Threat,
    drawn_inside,
    logit_scale,
    smoothing_kernel,
)
from hashbench.errors import UsageError
from hashbench.plugins import Attack, Draws, Norm, attack


@attack(
    "smooth-ap",
    cite="ours, after Zhao et al., PTA, ACM MM 2023, and Cakir et al., FastAP, CVPR 2019",
    draws=Draws.EXPECTED_LOSS,
    norms=(Norm.LINF, Norm.L2),
)
@dataclass(frozen=True)
class SmoothAP(Attack):
    """Lower a smooth average precision of the query against the training codes.

    Other attacks push towards a proxy code; this one descends on the average precision itself, in
    FastAP's form (`SmoothPrecision`), against the codes and labels that the attacker knows. Outputs
    are scaled and sharpened as in `AnnealedDescent`.

    PTA (Zhao et al., Precise Target-Oriented Attack, ACM MM 2023) descends a smooth average
    precision in Hamming space before this attack does, and is targeted: 20 sign steps of eps / 20
    raise the Smooth-AP of Brown et al. (ECCV 2020), which compares all pairs of distances through a
    sigmoid of temperature 0.1, over 75 images of the target's label and 300 for each of the query's
    other labels. This attack is untargeted, ranks all training codes, counts them in bins, whose
    gradient has a closed form, so that no pairs are compared, and sharpens the outputs and shortens
    the steps as it goes on.

    In an L2 ball the steps go straight down the gradient, and their lengths are the same shares of
    its radius.

    Attributes:
        steps: number of updates.
        alpha_start: scale of the tanh in the first step, where the median of `|z|` counts as 1.
        alpha_end: scale of the tanh in the last step.
        width: of the Gaussian over the distances, in bits.
        first_step: size of the first step, as a share of eps.
        momentum: share of the accumulated gradient that is kept.
        drawn_momentum: `momentum` at a model that draws: no two steps see the same draws, and the
            gradient that is kept averages over theirs.
        random_start: begin at a uniform point of the ball instead of at the image.
        scaled: divide the logits by their median size at the clean image; otherwise by 1.
    """

    steps: int = 100
    alpha_start: float = 0.5
    alpha_end: float = 64.0
    width: float = 3.0
    first_step: float = 1.0
    momentum: float = 0.5
    drawn_momentum: float = 0.8
    random_start: bool = True
    scaled: bool = True

    def __post_init__(self) -> None:
        self._descent(self.momentum)
        if not 0 <= self.drawn_momentum < 1:
            raise UsageError(
                f"drawn_momentum must be from 0 to below 1, found {self.drawn_momentum}"
            )
        smoothing_kernel(1, self.width)

    @override
    def perturb(
        self,
        model: AttackedModel,
        images: Tensor,
        goal: Goal,
        threat: Threat,
        rng: QueryRandom,
    ) -> Tensor:
        ranking = KnownRanking(goal.labels, goal.train_codes, goal.train_labels)
        scale: Tensor | float = 1.0
        if self.scaled:
            with torch.no_grad():
                scale = logit_scale(model.logits(images))
        start = images
        if self.random_start:
            start = images + drawn_inside(threat.norm, threat.radius, images.shape[1:], rng)
        precision = SmoothPrecision(ranking, self.width)
        descent = self._descent(self.momentum if model.draws == 1 else self.drawn_momentum)
        return descent.run(precision, model, images, threat, scale=scale, start=start)

    @override
    def passes(self) -> int:
        """The steps, and a look at the clean image for its scale."""
        return self.steps + self.scaled

    @override
    def reach_of_steps(self, radius: float, images: int) -> float:
        """The sum of its steps' sizes, each a share of the radius."""
        return self._descent(self.momentum).reach(radius)

    def _descent(self, momentum: float) -> AnnealedDescent:
        return AnnealedDescent(
            self.steps, self.alpha_start, self.alpha_end, self.first_step, momentum
        )
