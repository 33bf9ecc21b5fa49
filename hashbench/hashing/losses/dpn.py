"""DPN: outputs are pushed to the far side of a margin, towards a random code per class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor
from typing_extensions import override

from hashbench.errors import UsageError
from hashbench.hashing.hash_centers import Unlabelled, balanced_codes, has_class_term, item_targets
from hashbench.hashing.kept import Kept
from hashbench.hashing.objective import BoundLoss
from hashbench.hashing.setup import LossSetup
from hashbench.plugins import Loss, loss


@loss(
    "dpn",
    cite="Fan et al., DPN, IJCAI 2020",
    presets={"deephash": {"unlabelled": "as-coded"}, "saat": {"unlabelled": "as-coded"}},
)
@dataclass(frozen=True)
class DPN(Loss):
    """Polarisation: a hinge that pushes every bit beyond a margin, on its target's side of 0.

    `mean(max(0, m - u t))`. A class has a random balanced code; an image of several labels has the
    sign of their sum, ties and images without a label as in `csq`. As coded in SAAT and
    DeepHash-pytorch, in the form that both run: without the paper's ternary assignment and without
    its adaptive updating of the targets. DeepHash-pytorch gives it outputs without a tanh; bounded
    by 1 as here, a margin of 1 is never quite reached and every bit is always pulled.

    Attributes:
        margin: m.
        unlabelled: what becomes of an image without a label; `as-coded`, it has a random code.
    """

    margin: float = 1.0
    unlabelled: Unlabelled = Unlabelled.SKIP

    def __post_init__(self) -> None:
        if not self.margin > 0:
            raise UsageError(f"margin must be above 0, found {self.margin}")

    @override
    def bind(self, setup: LossSetup) -> BoundLoss:
        return _BoundDPN(self, setup)


class _BoundDPN(BoundLoss):
    """Holds `targets`, the code (N, K) that each item is pushed to, and the classes' `centers`."""

    targets: Tensor
    centers: Tensor

    def __init__(self, terms: DPN, setup: LossSetup) -> None:
        super().__init__()
        self.terms = terms
        centers = balanced_codes(setup.labels.shape[1], setup.bits, setup.generator)
        targets = item_targets(setup.labels, centers, setup.generator, terms.unlabelled)
        self.register_buffer("targets", targets)
        self.register_buffer("centers", centers, persistent=False)

    @override
    def forward(self, outputs: Tensor, labels: Tensor, index: Tensor) -> Tensor:
        counts = has_class_term(labels, self.terms.unlabelled).to(outputs)
        hinge = (self.terms.margin - outputs * self.targets[index]).clamp(min=0)
        return (counts * hinge).mean()

    @override
    def class_codes(self) -> Tensor:
        return self.centers

    @override
    def keeps(self) -> Mapping[str, Kept]:
        return {}
