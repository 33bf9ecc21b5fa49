"""DSH: a contrastive loss on squared distances."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor
from typing_extensions import override

from hashbench.errors import UsageError
from hashbench.hashing.kept import Kept
from hashbench.hashing.objective import BoundLoss
from hashbench.hashing.pairs import MemoryLoss
from hashbench.hashing.setup import LossSetup
from hashbench.hashing.similarity import relevant
from hashbench.plugins import Loss, loss


@loss(
    "dsh",
    cite="Liu et al., DSH, CVPR 2016",
    presets={"deephash": {}, "paper": {"batch_pairs": True}},
)
@dataclass(frozen=True)
class DSH(Loss):
    """Contrastive loss: relevant pairs are pulled together, others pushed to a margin of 2 K.

    `mean(s d / 2 + (1 - s) max(2 K - d, 0) / 2) + alpha * mean(| 1 - |u| |)`, d = ||u - v||^2. In
    DeepHash-pytorch, whose defaults these are, v is the memory of all train outputs; in the paper
    it is the batch's own other images, with a gradient through both (preset `paper`). Bounded by 1
    as outputs are here, d reaches 4 K, and at 2 K half of the bits differ; DeepHash-pytorch gives
    it outputs without a tanh.

    From scratch take `dsh@paper`. Against a memory, which is 0 at first and stays behind later, all
    images are pushed the same way at once, and a network that does not tell them apart yet ends at
    one code for all of them.

    Attributes:
        quantization: alpha.
        batch_pairs: compare the batch with itself instead of the memory.
    """

    quantization: float = 0.1
    batch_pairs: bool = False

    def __post_init__(self) -> None:
        if not self.quantization >= 0:
            raise UsageError(f"quantization must be 0 or more, found {self.quantization}")

    @override
    def bind(self, setup: LossSetup) -> BoundLoss:
        return _OverBatch(self) if self.batch_pairs else _OverMemory(self, setup)


class _OverMemory(MemoryLoss):
    def __init__(self, terms: DSH, setup: LossSetup) -> None:
        super().__init__(setup)
        self.terms = terms

    @override
    def forward(self, outputs: Tensor, labels: Tensor, index: Tensor) -> Tensor:
        self.enter(outputs, index)
        pairs = contrast(outputs, self.memory, relevant(labels, self.labels))
        return pairs + self.terms.quantization * gap(outputs)

    @override
    def keeps(self) -> Mapping[str, Kept]:
        return {}


class _OverBatch(BoundLoss):
    def __init__(self, terms: DSH) -> None:
        super().__init__()
        self.terms = terms

    @override
    def forward(self, outputs: Tensor, labels: Tensor, index: Tensor) -> Tensor:
        pairs = contrast(outputs, outputs, relevant(labels, labels))
        return pairs + self.terms.quantization * gap(outputs)

    @override
    def keeps(self) -> Mapping[str, Kept]:
        return {}


def contrast(outputs: Tensor, others: Tensor, near: Tensor) -> Tensor:
    """The mean contrastive term of all pairs: (B, K), (N, K), (B, N) -> scalar."""
    # Of B x N numbers, where the differences themselves would be K times as many.
    lengths = outputs.square().sum(dim=1, keepdim=True) + others.square().sum(dim=1)
    apart = lengths - 2 * outputs @ others.T
    margin = 2 * outputs.shape[1]
    return (near * apart + (1 - near) * (margin - apart).clamp(min=0)).mean() / 2


def gap(outputs: Tensor) -> Tensor:
    """How far outputs are from +1 and -1, on average."""
    return (1 - outputs.abs()).abs().mean()
