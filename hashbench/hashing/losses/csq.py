"""CSQ: every class has a center code far from all others, and outputs are pulled to it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from scipy.linalg import hadamard
from torch import Tensor
from torch.nn import functional as F

from hashbench.errors import UsageError
from hashbench.hashing.objective import BoundLoss
from hashbench.hashing.setup import LossSetup
from hashbench.plugins import Loss, loss


@loss("csq", cite="Yuan et al., CSQ, CVPR 2020", presets={"saat": {"quantization": 0.05}})
@dataclass(frozen=True)
class CSQ(Loss):
    """Binary cross entropy towards a Hadamard center per class: trains well from scratch.

    `BCE((u + 1) / 2, (c + 1) / 2) + lambda * mean((|u| - 1)^2)`. Class centers are the rows of a
    Hadamard matrix, then of its negative; where the code length is no power of two, or more than
    2 K classes need one, further centers are random balanced codes, drawn from the cell's seed. An
    image of several labels has the sign of the sum of their centers, a tied bit a random sign drawn
    once per label row; one without a label is pulled to nothing but +-1. Defaults are CgAT's.

    Attributes:
        quantization: lambda.
    """

    quantization: float = 1e-4

    def __post_init__(self) -> None:
        if self.quantization < 0:
            raise UsageError(f"quantization must be 0 or more, found {self.quantization}")

    def bind(self, setup: LossSetup) -> BoundLoss:
        """Draw the centers."""
        return _BoundCSQ(self, setup)


class _BoundCSQ(BoundLoss):
    targets: Tensor

    def __init__(self, terms: CSQ, setup: LossSetup) -> None:
        super().__init__()
        self.terms = terms
        centers = class_centers(setup.labels.shape[1], setup.bits, setup.generator)
        self.register_buffer("targets", item_targets(setup.labels, centers, setup.generator))

    def forward(self, outputs: Tensor, labels: Tensor, index: Tensor) -> Tensor:
        targets = self.targets[index]
        labelled = labels.sum(dim=1, keepdim=True) > 0
        entropy = F.binary_cross_entropy(
            (outputs + 1) / 2, (targets + 1) / 2, weight=labelled.expand_as(outputs).to(outputs)
        )
        return entropy + self.terms.quantization * (outputs.abs() - 1).square().mean()


def class_centers(classes: int, bits: int, generator: torch.Generator) -> Tensor:
    """One center of +1 and -1 per class, (classes, bits) float32."""
    centers = torch.empty(0, bits)
    if bits & (bits - 1) == 0:
        rows = torch.from_numpy(hadamard(bits)).float()
        centers = torch.cat([rows, -rows])[:classes]
    missing = classes - len(centers)
    # Half of the bits of a random center are +1 (for odd lengths one fewer), in random places.
    order = torch.rand(missing, bits, generator=generator).argsort(dim=1)
    return torch.cat([centers, torch.where(order < bits // 2, 1.0, -1.0)])


def item_targets(labels: Tensor, centers: Tensor, generator: torch.Generator) -> Tensor:
    """The code that each item is pulled to, (N, bits): +1, -1, or 0 without a label."""
    rows, item_row = labels.unique(dim=0, return_inverse=True)
    coins = torch.where(
        torch.rand(len(rows), centers.shape[1], generator=generator) < 0.5, -1.0, 1.0
    )
    sums = rows @ centers
    codes = torch.where(sums == 0, coins, sums.sign())
    codes[rows.sum(dim=1) == 0] = 0
    return codes[item_row]
