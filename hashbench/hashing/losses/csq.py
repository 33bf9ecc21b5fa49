"""CSQ: every class has a center code far from all others, and outputs are pulled to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F
from typing_extensions import override

from hashbench.errors import UsageError
from hashbench.hashing.hash_centers import (
    CenterKind,
    Unlabelled,
    centers_of,
    has_class_term,
    item_targets,
)
from hashbench.hashing.kept import Kept
from hashbench.hashing.objective import BoundLoss
from hashbench.hashing.setup import LossSetup
from hashbench.plugins import Loss, loss


@loss(
    "csq",
    cite="Yuan et al., CSQ, CVPR 2020",
    presets={
        "cgat": {"quantization": 1e-4, "unlabelled": "as-coded"},
        "deephash": {"quantization": 1e-4, "unlabelled": "as-coded"},
        "saat": {"quantization": 0.05, "unlabelled": "as-coded"},
    },
)
@dataclass(frozen=True)
class CSQ(Loss):
    """Binary cross entropy towards a Hadamard center per class: trains well from scratch.

    `BCE((u + 1) / 2, (c + 1) / 2) + lambda * mean((|u| - 1)^2)`. Class centers are the rows of a
    Hadamard matrix, then of its negative; where the code length is no power of two, or more than
    2 K classes need one, further centers are random balanced codes, drawn from the cell's seed. An
    image of several labels has the sign of the sum of their centers, a tied bit a random sign drawn
    once per label row. One without a label is pulled to nothing but +-1 here; in the scripts, and
    in the presets that stand for them, all its bits are tied and it is pulled to a random code.
    lambda is CgAT's and DeepHash-pytorch's; SAAT's script stops at such code lengths and numbers of
    classes.

    `codes=similarity` has other centers: codes that lie nearer to each other where the classes'
    train images are alike, made from train images and labels before the training (mean images of
    4 x 4 pixel cells, Mahalanobis distances, a search by single flips; see `similarity_codes`). It
    is nobody's published method, and no preset has it.

    Attributes:
        quantization: lambda.
        unlabelled: what becomes of an image without a label.
        codes: where the centers come from.
    """

    quantization: float = 1e-4
    unlabelled: Unlabelled = Unlabelled.SKIP
    codes: CenterKind = CenterKind.HADAMARD

    def __post_init__(self) -> None:
        if not self.quantization >= 0:
            raise UsageError(f"quantization must be 0 or more, found {self.quantization}")

    @override
    def bind(self, setup: LossSetup) -> BoundLoss:
        return _BoundCSQ(self, setup)


class _BoundCSQ(BoundLoss):
    """Holds `targets`, the code (N, K) that each item is pulled to, and the classes' `centers`."""

    targets: Tensor
    centers: Tensor

    def __init__(self, terms: CSQ, setup: LossSetup) -> None:
        super().__init__()
        self.terms = terms
        centers = centers_of(terms.codes, setup)
        targets = item_targets(setup.labels, centers, setup.generator, terms.unlabelled)
        self.register_buffer("targets", targets)
        self.register_buffer("centers", centers, persistent=False)

    @override
    def forward(self, outputs: Tensor, labels: Tensor, index: Tensor) -> Tensor:
        targets = self.targets[index]
        counts = has_class_term(labels, self.terms.unlabelled)
        entropy = F.binary_cross_entropy(
            (outputs + 1) / 2, (targets + 1) / 2, weight=counts.expand_as(outputs).to(outputs)
        )
        return entropy + self.terms.quantization * (outputs.abs() - 1).square().mean()

    @override
    def class_codes(self) -> Tensor:
        return self.centers

    @override
    def keeps(self) -> Mapping[str, Kept]:
        return {}
