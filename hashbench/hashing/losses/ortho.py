"""OrthoHash: one cosine loss with a margin, to a random code per class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from typing_extensions import override

from hashbench.errors import UsageError
from hashbench.hashing.kept import Kept
from hashbench.hashing.objective import BoundLoss
from hashbench.hashing.setup import LossSetup
from hashbench.plugins import Loss, loss

# Normalised outputs are about sqrt(K) long; only in a batch of equal outputs are they shorter than
# this, where a division by the length would blow the gradient up.
_LEAST_NORM = 1e-2


@loss(
    "ortho",
    cite="Hoe et al., OrthoHash, NeurIPS 2021",
    presets={"saat": {}},
)
@dataclass(frozen=True)
class Ortho(Loss):
    """Cross entropy of the cosines between normalised outputs and one fixed random code per class.

    `mean(-sum_c y_c / |y| log softmax(s (cos_c - m y_c)))`, cos_c between the batch-normalised
    output and class c's code of +1 and -1 (each bit a fair coin). As coded in SAAT: labels of an
    image share its mass ('label smoothing'), the margin is subtracted at each of them, and the
    batch norm, which has learned weights, exists in the loss alone, so codes come from outputs
    before it. A batch of one image has no statistics of its own and takes the running ones. An
    image without a label adds nothing: SAAT divides its labels by their sum 0, which makes the loss
    of the whole batch, and with it the network, NaN. That one thing is not repeated.

    Attributes:
        scale: s.
        margin: m.
    """

    scale: float = 8.0
    margin: float = 0.2

    def __post_init__(self) -> None:
        if not self.scale > 0:
            raise UsageError(f"scale must be above 0, found {self.scale}")
        if not self.margin >= 0:
            raise UsageError(f"margin must be 0 or more, found {self.margin}")

    @override
    def bind(self, setup: LossSetup) -> BoundLoss:
        return _BoundOrtho(self, setup)


class _BoundOrtho(BoundLoss):
    """Holds `codebook`, the classes' codes (classes, K), and `norm`, the batch norm."""

    codebook: Tensor

    def __init__(self, terms: Ortho, setup: LossSetup) -> None:
        super().__init__()
        self.terms = terms
        coins = torch.rand(setup.labels.shape[1], setup.bits, generator=setup.generator)
        self.register_buffer("codebook", torch.where(coins < 0.5, -1.0, 1.0))
        self.norm = nn.BatchNorm1d(setup.bits)

    @override
    def forward(self, outputs: Tensor, labels: Tensor, index: Tensor) -> Tensor:
        directions = F.normalize(self._normalised(outputs), eps=_LEAST_NORM)
        cosines = directions @ F.normalize(self.codebook).T
        logits = self.terms.scale * (cosines - self.terms.margin * labels)
        share = labels / labels.sum(dim=1, keepdim=True).clamp(min=1)
        return -(share * logits.log_softmax(dim=1)).sum(dim=1).mean()

    def _normalised(self, outputs: Tensor) -> Tensor:
        if len(outputs) > 1:
            normalised: Tensor = self.norm(outputs)
            return normalised
        return F.batch_norm(
            outputs, self.norm.running_mean, self.norm.running_var, self.norm.weight, self.norm.bias
        )

    @override
    def class_codes(self) -> Tensor:
        return self.codebook

    @override
    def keeps(self) -> Mapping[str, Kept]:
        return {}
