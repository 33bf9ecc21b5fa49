"""DCH: a Cauchy likelihood of the distances inside a batch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F
from typing_extensions import override

from hashbench.errors import UsageError
from hashbench.hashing.kept import Kept
from hashbench.hashing.objective import BoundLoss
from hashbench.hashing.pairs import pair_count
from hashbench.hashing.setup import LossSetup
from hashbench.hashing.similarity import relevant
from hashbench.plugins import Loss, loss

# As coded: the least product of two norms, and the greatest cosine, so that no distance is 0.
_LEAST_NORM = 1e-4
_MOST_COSINE = 0.99


@loss("dch", cite="Cao et al., DCH, CVPR 2018", presets={"cgat": {}, "deephash": {}})
@dataclass(frozen=True)
class DCH(Loss):
    """Cauchy likelihood: relevant pairs are pulled within a small distance, and no further.

    Over the pairs of a batch `mean(w (s log(d / gamma) + log(1 + gamma / d)))`, plus
    `lambda * mean(log(1 + d(|u|, 1) / gamma))`, with d(u, v) = (1 - min(cos(u, v), 0.99)) K / 2 and
    w = S / S1 for a relevant pair, S / S0 for another (1 for all in a batch that lacks one kind).
    Equations 2 and 6 to 9 of the paper. An image is a pair with itself, too; without a label it is
    relevant to nothing, itself included. CgAT and DeepHash-pytorch code it alike.

    Attributes:
        gamma: the distance that the Cauchy distribution is wide, in bits.
        quantization: lambda.
    """

    gamma: float = 20.0
    quantization: float = 0.1

    def __post_init__(self) -> None:
        if not self.gamma > 0:
            raise UsageError(f"gamma must be above 0, found {self.gamma}")
        if not self.quantization >= 0:
            raise UsageError(f"quantization must be 0 or more, found {self.quantization}")

    @override
    def bind(self, setup: LossSetup) -> BoundLoss:
        return _BoundDCH(self)


class _BoundDCH(BoundLoss):
    def __init__(self, terms: DCH) -> None:
        super().__init__()
        self.terms = terms

    @override
    def forward(self, outputs: Tensor, labels: Tensor, index: Tensor) -> Tensor:
        gamma = self.terms.gamma
        near = relevant(labels, labels)
        apart = distances(outputs, outputs)
        pairs = near * torch.log(apart / gamma) + torch.log1p(gamma / apart)
        loose = torch.log1p(distances(outputs.abs(), torch.ones_like(outputs[:1])) / gamma)
        return (balance(near) * pairs).mean() + self.terms.quantization * loose.mean()

    @override
    def keeps(self) -> Mapping[str, Kept]:
        return {}


def balance(near: Tensor) -> Tensor:
    """Each pair's weight: both kinds weigh the same in sum, or 1 where there is only one kind."""
    far = 1 - near
    both = near.any() & far.any()
    return torch.where(
        both,
        near.numel() * (near / pair_count(near) + far / pair_count(far)),
        torch.ones_like(near),
    )


def distances(first: Tensor, second: Tensor) -> Tensor:
    """`(1 - min(cos, 0.99)) K / 2`, at least 0.005 K: (A, K), (B, K) -> (A, B)."""
    lengths = torch.outer(
        torch.linalg.vector_norm(first, dim=1), torch.linalg.vector_norm(second, dim=1)
    )
    cosine = F.linear(first, second) / lengths.clamp(min=_LEAST_NORM)
    return (1 - cosine.clamp(max=_MOST_COSINE)) * first.shape[1] / 2
