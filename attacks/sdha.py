"""SDHA: the attack that lengthens a smooth Hamming distance to the relevant training images."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from hashbench.errors import UsageError
from hashbench.evaluation import (
    AdamStep,
    AlphaSchedule,
    AttackedModel,
    Goal,
    QueryRandom,
    Threat,
    descend,
)
from hashbench.plugins import Attack, attack


@attack(
    "sdha",
    cite="Lu et al., SDHA, ICMR 2021",
    presets={"published": {"steps": 1500}},
)
@dataclass(frozen=True)
class SDHA(Attack):
    """Lengthen a dimension-wise surrogate Hamming distance to the relevant training codes.

    Minimises `mean((x' - x)^2) + (scale / K) * S`, `S = -mean_r(w_r d_r)` over the relevant
    training codes r, `d_r = sum_k(|u_k - r_k| / 2 * g_k + 1 - g_k)`,
    `g_k = sigmoid(slope u_k r_k)`, and `w_r = (hamming(sign u, r) + 1e-8)^-nearness`, so that near
    items weigh most. Adam, from the image itself. The only code is SAAT's (1,500 steps: preset
    `published`); the loss of one query here is what SAAT computes at batch size 1. A query without
    a relevant training image runs from its own clean code.

    Attributes:
        steps: number of updates.
        learning_rate: of Adam, in `[0, 1]` pixels.
        scale: weight of the surrogate.
        slope: of the sigmoid.
        nearness: the exponent z.
        alpha: scale of the tanh over the steps.
    """

    steps: int = 100
    learning_rate: float = 0.01
    scale: float = 25.0
    slope: float = 5.0
    nearness: float = 0.5
    alpha: AlphaSchedule = AlphaSchedule.TENTHS

    def __post_init__(self) -> None:
        if self.steps < 0 or self.learning_rate <= 0:
            raise UsageError(
                f"steps must be 0 or more and learning_rate above 0, "
                f"found {self.steps} and {self.learning_rate}"
            )

    def perturb(
        self,
        model: AttackedModel,
        images: Tensor,
        goal: Goal,
        threat: Threat,
        rng: QueryRandom,  # noqa: ARG002 - deterministic
    ) -> Tensor:
        """Return perturbed images; see `Attack.perturb`."""
        relevant = (goal.labels @ goal.train_labels.T > 0).float()
        own = model.codes(images).float()
        surrogate = Surrogate(goal.train_codes, relevant, own, self.slope, self.nearness)

        def objective(point: Tensor, step: int) -> Tensor:
            outputs = model.outputs(point, self.alpha.at(step, self.steps))
            size = (point - images).square().flatten(1).mean(dim=1)
            return size - self.scale / model.bits * surrogate.distance(outputs)

        return descend(
            objective, images, threat, steps=self.steps, update=AdamStep(self.learning_rate)
        )


class Surrogate:
    """The weighted surrogate distance of a batch to its relevant training codes.

    A code's bit is +1 or -1, so a bit's share of `d_r` takes two values, and the mean over r needs
    no (batch x train set x bits) tensor: `sum_k a_k (f_k(+1) + f_k(-1)) / 2 + b_k (f_k(+1) -
    f_k(-1)) / 2` with `a = mean_r w_r` and `b_k = mean_r w_r r_k`, which carry no gradient.
    """

    def __init__(
        self, codes: Tensor, relevant: Tensor, own: Tensor, slope: float, nearness: float
    ) -> None:
        """Group equal codes.

        Args:
            codes: the training codes, (N, K) of +1 and -1.
            relevant: (B, N), 1 where a training image is relevant to the query.
            own: the queries' own clean codes, (B, K): stand in where nothing is relevant.
            slope: s of the sigmoid.
            nearness: z of the weight.
        """
        self._codes, group = codes.unique(dim=0, return_inverse=True)
        self._counts = torch.zeros(len(relevant), len(self._codes), device=codes.device)
        self._counts.index_add_(1, group, relevant)
        self._lonely = (relevant.sum(dim=1) == 0).float().unsqueeze(1)
        self._own = own
        self._slope = slope
        self._nearness = nearness

    def distance(self, outputs: Tensor) -> Tensor:
        """`mean_r(w_r d_r)` per query, (B,)."""
        weight, weighted = self._weights(outputs.detach())
        plus, minus = self._bit(outputs, 1.0), self._bit(outputs, -1.0)
        return (weight * (plus + minus) / 2 + weighted * (plus - minus) / 2).sum(dim=1)

    def _weights(self, outputs: Tensor) -> tuple[Tensor, Tensor]:
        signs = outputs.sign()
        bits = outputs.shape[1]
        apart = (bits - signs @ self._codes.T) / 2
        share = self._counts * (apart + 1e-8).pow(-self._nearness)
        share = share / self._counts.sum(dim=1, keepdim=True).clamp(min=1)
        apart_own = (bits - (signs * self._own).sum(dim=1, keepdim=True)) / 2
        share_own = self._lonely * (apart_own + 1e-8).pow(-self._nearness)
        weight = share.sum(dim=1, keepdim=True) + share_own
        return weight, share @ self._codes + share_own * self._own

    def _bit(self, outputs: Tensor, sign: float) -> Tensor:
        gate = torch.sigmoid(self._slope * sign * outputs)
        return (outputs - sign).abs() / 2 * gate + (1 - gate)
