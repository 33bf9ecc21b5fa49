"""GreedyHash: a linear classifier on the codes, trained through the sign."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from typing_extensions import override

from hashbench.errors import UsageError
from hashbench.hashing.hash_centers import Unlabelled, has_class_term
from hashbench.hashing.kept import Kept
from hashbench.hashing.model import codes_of
from hashbench.hashing.objective import BoundLoss
from hashbench.hashing.setup import LossSetup
from hashbench.plugins import Loss, loss


@loss(
    "greedyhash",
    cite="Su et al., Greedy Hash, NeurIPS 2018",
    presets={
        "cgat": {"train_classifier": False, "unlabelled": "as-coded"},
        "deephash": {"train_classifier": False, "unlabelled": "as-coded"},
        "deephash-imagenet": {
            "train_classifier": False,
            "quantization": 1.0,
            "unlabelled": "as-coded",
        },
    },
)
@dataclass(frozen=True)
class GreedyHash(Loss):
    """Cross entropy of a linear layer on the code itself; the gradient ignores the sign.

    `CE(W sign(u), class) + alpha * mean(||u| - 1|^3)`, with the gradient by sign(u) handed on to u.
    The class is the label row's first 1: an image of several labels counts with that one only, as
    coded. One without a label adds nothing to the cross entropy; in the scripts argmax makes it the
    first class. W is trained with the network, as in the paper. Neither CgAT's nor
    DeepHash-pytorch's script hands it to the optimiser, so there it stays at its random start. The
    presets `cgat` and `deephash` repeat both; the latter has alpha 1 on ImageNet,
    `deephash-imagenet`.

    Attributes:
        quantization: alpha.
        train_classifier: train W.
        unlabelled: what becomes of an image without a label.
    """

    quantization: float = 0.1
    train_classifier: bool = True
    unlabelled: Unlabelled = Unlabelled.SKIP

    def __post_init__(self) -> None:
        if not self.quantization >= 0:
            raise UsageError(f"quantization must be 0 or more, found {self.quantization}")

    @override
    def bind(self, setup: LossSetup) -> BoundLoss:
        return _BoundGreedyHash(self, setup)


class _BoundGreedyHash(BoundLoss):
    """Holds the classifier: `fc.weight` is W, (classes, K)."""

    def __init__(self, terms: GreedyHash, setup: LossSetup) -> None:
        super().__init__()
        self.terms = terms
        self.fc = nn.Linear(setup.bits, setup.labels.shape[1], bias=False)
        # PyTorch's own default, but from our generator instead of the process-wide one.
        bound = setup.bits**-0.5
        nn.init.uniform_(self.fc.weight, -bound, bound, generator=setup.generator)
        self.fc.requires_grad_(terms.train_classifier)

    @override
    def forward(self, outputs: Tensor, labels: Tensor, index: Tensor) -> Tensor:
        # The parenthesis is exactly 0 and carries the gradient.
        codes = codes_of(outputs.detach()).to(outputs) + (outputs - outputs.detach())
        counts = has_class_term(labels, self.terms.unlabelled).squeeze(1)
        entropy = F.cross_entropy(self.fc(codes), labels.argmax(dim=1), reduction="none")
        gap = (outputs.abs() - 1).abs().pow(3).mean()
        return torch.where(counts, entropy, 0).mean() + self.terms.quantization * gap

    @override
    def keeps(self) -> Mapping[str, Kept]:
        return {}
