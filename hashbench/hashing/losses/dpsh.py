"""DPSH: the likelihood of pairwise similarities."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from hashbench.hashing.objective import BoundLoss
from hashbench.hashing.setup import LossSetup
from hashbench.hashing.similarity import relevant
from hashbench.plugins import Loss, loss


@loss(
    "dpsh",
    cite="Li et al., DPSH, IJCAI 2016",
    presets={"saat": {"quantization": 50.0, "quantization_over_memory": True}},
)
@dataclass(frozen=True)
class DPSH(Loss):
    """Negative log likelihood of the pairwise similarities, with a quantisation term.

    `mean(softplus(t) - s t) + eta * mean((u - sign u)^2)`, t = u U^T / 2, U the memory of all train
    outputs, s their relevance. Defaults are CgAT's; SAAT's term is
    `50 * sum((u - sign u)^2) / (B N)` (preset `saat`, with `quantization_over_memory`).

    Attributes:
        quantization: eta.
        quantization_over_memory: divide the quantisation term's sum by batch x train set, as SAAT
            does, instead of batch x bits.
    """

    quantization: float = 0.001
    quantization_over_memory: bool = False

    def bind(self, setup: LossSetup) -> BoundLoss:
        """Start with an all-zero memory."""
        return _BoundDPSH(self, setup)


class _BoundDPSH(BoundLoss):
    memory: Tensor
    labels: Tensor

    def __init__(self, terms: DPSH, setup: LossSetup) -> None:
        super().__init__()
        self.terms = terms
        self.register_buffer("labels", setup.labels)
        self.register_buffer("memory", torch.zeros(len(setup.labels), setup.bits))

    def remember(self, outputs: Tensor) -> None:
        self.memory.copy_(outputs)

    def forward(self, outputs: Tensor, labels: Tensor, index: Tensor) -> Tensor:
        self.memory[index] = outputs.detach()
        theta = outputs @ self.memory.T / 2
        likelihood = (F.softplus(theta) - relevant(labels, self.labels) * theta).mean()
        gap = (outputs - outputs.detach().sign()).square()
        if self.terms.quantization_over_memory:
            return likelihood + self.terms.quantization * gap.sum() / theta.numel()
        return likelihood + self.terms.quantization * gap.mean()
