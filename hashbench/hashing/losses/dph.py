"""DPH: the squared error of pairwise similarities."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor
from typing_extensions import override

from hashbench.hashing.kept import Kept
from hashbench.hashing.objective import BoundLoss
from hashbench.hashing.pairs import MemoryLoss
from hashbench.hashing.setup import LossSetup
from hashbench.hashing.similarity import relevant
from hashbench.plugins import Loss, loss


@loss(
    "dph",
    cite="as coded in CgAT, SAAT and SIGIR'21 (DPH)",
    presets={"cgat": {}, "saat": {}, "sigir": {}},
)
@dataclass(frozen=True)
class DPH(Loss):
    """Squared error between the outputs' similarity to a memory and +1 (relevant) or -1.

    `mean((u U^T / K - (2 s - 1))^2)`, U the memory of all train outputs. Where few pairs are
    relevant (10 % on ten classes), training from scratch tends towards u = 0: use a pretrained
    backbone, or `csq`.
    """

    @override
    def bind(self, setup: LossSetup) -> BoundLoss:
        return _BoundDPH(setup)


class _BoundDPH(MemoryLoss):
    @override
    def forward(self, outputs: Tensor, labels: Tensor, index: Tensor) -> Tensor:
        self.enter(outputs, index)
        wanted = 2 * relevant(labels, self.labels) - 1
        return (outputs @ self.memory.T / outputs.shape[1] - wanted).square().mean()

    @override
    def keeps(self) -> Mapping[str, Kept]:
        return {}
