"""SDHA: the attack that lengthens a smooth Hamming distance to the relevant training images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from typing_extensions import override

from hashbench.attacking import (
    AdamStep,
    AlphaSchedule,
    AttackedModel,
    Goal,
    OutputLoss,
    QueryRandom,
    Threat,
    adam_reach,
    check_descent,
    descend,
)
from hashbench.hashing import relevant
from hashbench.plugins import Aim, Attack, Draws, PixelSize, attack


@attack(
    "sdha",
    cite="Lu et al., SDHA, ICMR 2021",
    presets={
        "published": {"steps": 1500},
        "targeted": {"targeted": True, "slope": 10.0, "nearness": -0.3},
    },
    draws=Draws.EXPECTED_LOSS,
)
@dataclass(frozen=True)
class SDHA(Attack):
    """Lengthen a dimension-wise surrogate Hamming distance to the relevant training codes.

    Minimises `mean((x' - x)^2) + (scale / K) * S`, `S = -mean_r(w_r d_r)` over the relevant
    training codes r, `d_r = sum_k(|u_k - r_k| / 2 * g_k + 1 - g_k)`,
    `g_k = sigmoid(slope u_k r_k)`, and `w_r = (hamming(sign u, r) + 1e-8)^-nearness`, so that near
    items weigh most. Adam, from the image itself. The only code is SAAT's (1,500 steps: preset
    `published`); the loss of one query here is what SAAT computes at batch size 1. At its batch of
    128 a gradient is 128 times smaller, which Adam does not see but for its constant of 1e-8. A
    query without a relevant training image runs from its own clean code. L-infinity alone: Adam
    moves all pixels alike, however unlike their gradients are, and no such step leads to the end of
    an L2 ball.

    Targeted (preset `targeted`, with SAAT's slope 10 and nearness -0.3), the relevant codes are
    those of the target, and `S = mean_r(w_r d_r)`, `d_r = sum_k |u_k - r_k| / 2 *
    sigmoid(-slope u_k r_k)`, is shortened. A query without a target is kept at its own clean code.

    Attributes:
        steps: number of updates.
        learning_rate: of Adam, in `[0, 1]` pixels.
        scale: weight of the surrogate.
        slope: of the sigmoid.
        nearness: the exponent z.
        alpha: scale of the tanh over the steps.
        targeted: go to what is relevant to the target instead of leaving what is relevant.
    """

    steps: int = 100
    learning_rate: PixelSize = 0.01
    scale: float = 25.0
    slope: float = 5.0
    nearness: float = 0.5
    alpha: AlphaSchedule = AlphaSchedule.TENTHS
    targeted: bool = False

    def __post_init__(self) -> None:
        check_descent(self.steps, learning_rate=self.learning_rate)

    @override
    def aim(self) -> Aim:
        return Aim.TARGETED if self.targeted else Aim.UNTARGETED

    def loss(self, images: Tensor, own: Tensor, goal: Goal) -> Callable[[Tensor, Tensor], Tensor]:
        """What is minimised.

        Args:
            images: the clean images (B, C, H, W).
            own: their codes (B, K) of +1 and -1.
            goal: what the attacker knows.

        Returns:
            (perturbed images (B, C, H, W), their outputs u (B, K)) -> one loss per query (B,).
        """
        distance = self._distance(own, goal)
        return lambda point, outputs: self._total(point - images, distance(outputs), goal)

    @override
    def perturb(
        self,
        model: AttackedModel,
        images: Tensor,
        goal: Goal,
        threat: Threat,
        rng: QueryRandom,  # deterministic
    ) -> Tensor:
        distance = self._distance(model.codes(images).float(), goal)

        def objective(point: Tensor, step: int) -> Tensor:
            alpha = self.alpha.at(step, self.steps)
            return self._total(point - images, model.expected_loss(distance, point, alpha), goal)

        return descend(
            objective,
            images,
            threat,
            steps=self.steps,
            update=AdamStep(self.learning_rate),
        )

    @override
    def passes(self) -> int:
        """The steps, and a look at the clean image."""
        return self.steps + 1

    @override
    def reach_of_steps(self, radius: float, images: int) -> float:
        """What Adam's steps add up to at most."""
        return adam_reach(self.learning_rate, self.steps)

    def _distance(self, own: Tensor, goal: Goal) -> OutputLoss:
        labels = goal.target_labels if self.targeted else goal.labels
        near = relevant(labels, goal.train_labels)
        return SurrogateLoss(
            goal.train_codes, near, own, self.slope, self.nearness, targeted=self.targeted
        ).loss

    def _total(self, change: Tensor, distance: Tensor, goal: Goal) -> Tensor:
        size = change.square().flatten(1).mean(dim=1)
        return size + self.scale / goal.train_codes.shape[1] * distance


class SurrogateLoss:
    """The surrogate of a batch: how far its outputs are from their relevant training codes.

    Untargeted the distance is to grow, and near codes weigh most. Targeted, "relevant" is what
    shares a label with the target, the distance is to shrink, `d_r = sum_k |u_k - r_k| / 2 *
    sigmoid(-slope u_k r_k)`, and far codes weigh most. SAAT's slope and nearness are 5 and 0.5
    untargeted, 10 and -0.3 targeted.

    A code's bit is +1 or -1, so a bit's share of `d_r` takes two values, and the mean over r needs
    no (batch x train set x bits) tensor: `sum_k a_k f_k(+1) + b_k f_k(-1)`, with a_k and b_k the
    means of `w_r` where `r_k` is +1 and where it is -1, which carry no gradient.
    """

    def __init__(
        self,
        codes: Tensor,
        relevant: Tensor,
        own: Tensor,
        slope: float,
        nearness: float,
        *,
        targeted: bool = False,
    ) -> None:
        """Group equal codes.

        Args:
            codes: the training codes, (N, K) of +1 and -1.
            relevant: (B, N), 1 where a training image is relevant to the query, or to its target.
            own: the queries' own clean codes, (B, K): stand in where nothing is relevant.
            slope: s of the sigmoid.
            nearness: z of the weight.
            targeted: pull towards the relevant codes instead of pushing away.
        """
        self._codes, group = codes.unique(dim=0, return_inverse=True)
        self._counts = relevant.new_zeros(len(relevant), len(self._codes))
        self._counts.index_add_(1, group, relevant)
        self._sides = _sides(self._codes)
        self._lonely = (relevant.sum(dim=1) == 0).float().unsqueeze(1)
        self._own = own
        self._slope = slope
        self._nearness = nearness
        self._targeted = targeted

    def loss(self, outputs: Tensor) -> Tensor:
        """`-mean_r(w_r d_r)` per query, (B,); targeted without the minus. To be minimised."""
        above, below = self._weights(outputs.detach())
        distance = above * self._bit(outputs, 1.0) + below * self._bit(outputs, -1.0)
        return distance.sum(dim=1) if self._targeted else -distance.sum(dim=1)

    def _weights(self, outputs: Tensor) -> tuple[Tensor, Tensor]:
        """Both coefficients, a and b, (B, K) each."""
        signs = outputs.sign()
        bits = outputs.shape[1]
        apart = (bits - signs @ self._codes.T) / 2
        share = self._counts * (apart + 1e-8).pow(-self._nearness)
        share = share / self._counts.sum(dim=1, keepdim=True).clamp(min=1)
        apart_own = (bits - (signs * self._own).sum(dim=1, keepdim=True)) / 2
        share_own = self._lonely * (apart_own + 1e-8).pow(-self._nearness)
        above, below = (share @ self._sides + share_own * _sides(self._own)).chunk(2, dim=1)
        return above, below

    def _bit(self, outputs: Tensor, sign: float) -> Tensor:
        """What a bit adds to `d_r` where the bit of r is `sign`, (B, K)."""
        agreement = self._slope * sign * outputs
        apart = (outputs - sign).abs() / 2
        if self._targeted:
            return apart * torch.sigmoid(-agreement)
        gate = torch.sigmoid(agreement)
        return apart * gate + (1 - gate)


def _sides(codes: Tensor) -> Tensor:
    """Where bits are +1, beside where they are -1: (n, 2K) of 0 and 1."""
    return torch.cat([codes > 0, codes < 0], dim=1).to(codes.dtype)
