"""DPSH: the likelihood of pairwise similarities."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor
from typing_extensions import override

from hashbench.errors import UsageError
from hashbench.hashing.kept import Kept
from hashbench.hashing.objective import BoundLoss
from hashbench.hashing.pairs import MemoryLoss, negative_log_likelihood
from hashbench.hashing.setup import LossSetup
from hashbench.hashing.similarity import relevant
from hashbench.plugins import Loss, loss


@loss(
    "dpsh",
    cite="Li et al., DPSH, IJCAI 2016",
    presets={
        "cgat": {"quantization": 0.001},
        "deephash": {"quantization": 0.1},
        "saat": {"quantization": 50.0, "quantization_over_memory": True},
        "sigir": {"quantization": 50.0, "quantization_over_memory": True},
    },
)
@dataclass(frozen=True)
class DPSH(Loss):
    """Negative log likelihood of the pairwise similarities, with a quantisation term.

    `mean(softplus(t) - s t) + eta * mean((u - sign u)^2)`, t = u U^T / 2, U the memory of all train
    outputs, s their relevance. Defaults are CgAT's; DeepHash-pytorch has eta 0.1 (preset
    `deephash`); the term of SAAT and SIGIR'21 is `50 * sum((u - sign u)^2) / (B N)` (presets `saat`
    and `sigir`, with `quantization_over_memory`).

    Attributes:
        quantization: eta.
        quantization_over_memory: divide the quantisation term's sum by batch x train set, as SAAT
            does, instead of batch x bits.
    """

    quantization: float = 0.001
    quantization_over_memory: bool = False

    def __post_init__(self) -> None:
        if not self.quantization >= 0:
            raise UsageError(f"quantization must be 0 or more, found {self.quantization}")

    @override
    def bind(self, setup: LossSetup) -> BoundLoss:
        return _BoundDPSH(self, setup)


class _BoundDPSH(MemoryLoss):
    def __init__(self, terms: DPSH, setup: LossSetup) -> None:
        super().__init__(setup)
        self.terms = terms

    @override
    def forward(self, outputs: Tensor, labels: Tensor, index: Tensor) -> Tensor:
        self.enter(outputs, index)
        theta = outputs @ self.memory.T / 2
        likelihood = negative_log_likelihood(theta, relevant(labels, self.labels)).mean()
        gap = (outputs - outputs.detach().sign()).square()
        if self.terms.quantization_over_memory:
            return likelihood + self.terms.quantization * gap.sum() / theta.numel()
        return likelihood + self.terms.quantization * gap.mean()

    @override
    def keeps(self) -> Mapping[str, Kept]:
        return {}
