"""HashNet: the class-balanced likelihood of pairwise similarities, with continuation."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import torch
from torch import Tensor
from typing_extensions import override

from hashbench.errors import UsageError
from hashbench.hashing.kept import Kept
from hashbench.hashing.objective import BoundLoss
from hashbench.hashing.pairs import MemoryLoss, negative_log_likelihood, pair_count
from hashbench.hashing.setup import LossSetup
from hashbench.hashing.similarity import relevant
from hashbench.plugins import Loss, loss


class Continuation(StrEnum):
    """How the outputs approach their signs while training goes on, by a growing factor c."""

    NONE = "none"
    """They do not: c = 1."""

    LOGITS = "logits"
    """`tanh(c z)` of the hash layer's value z, computed from u = tanh(z)."""

    OUTPUTS = "outputs"
    """`tanh(c u)` of what the loss is given."""


class Growth(StrEnum):
    """How that factor grows."""

    STEPS = "steps"
    """`sqrt(1 + 0.005 n)` from step n = 200, 400, ... on (SAAT)."""

    EPOCHS = "epochs"
    """`sqrt(floor(epoch / 20) + 1)`, epochs counted from 0 (DeepHash-pytorch)."""


@loss(
    "hashnet",
    cite="Cao et al., HashNet, ICCV 2017",
    presets={
        "cgat": {"alpha": 0.1},
        "sigir": {"alpha": 0.1},
        "saat": {"alpha": None, "continuation": "logits", "growth": "steps"},
        "deephash": {
            "alpha": 0.1,
            "batch_pairs": True,
            "continuation": "outputs",
            "growth": "epochs",
        },
    },
)
@dataclass(frozen=True)
class HashNet(Loss):
    """Likelihood of the pairwise similarities; relevant pairs weigh as much as all the others.

    `mean of l over the relevant pairs + mean of l over the others`, l = softplus(t) - s t,
    t = alpha u U^T, U the memory of all train outputs. As coded everywhere: l is weighted with
    S / S1 or S / S0 and its mean taken, S1 and S0 the two numbers of pairs, S their sum. A kind of
    pair that a batch lacks adds nothing. Defaults are CgAT's and SIGIR'21's.

    SAAT has alpha 10 / K, and its model's forward pass scales the logits; here the loss recovers
    them from the outputs and counts its own batches. Left out: the script counts forward passes in
    training mode (two per batch of its adversarial training), and an evaluation or an attack sets
    the factor back until the next 200th of them.
    DeepHash-pytorch compares pairs of the batch alone, and applies `tanh(c u)` to what it is given.
    Its network ends without a tanh, so that there u is the logit: `hashnet@deephash` is that
    function of the outputs, `hashnet@deephash:continuation=logits` that training.

    Attributes:
        alpha: factor of the inner product; `none` is 10 / K.
        batch_pairs: compare the batch with itself instead of the memory, with a gradient through
            both sides.
        continuation: what is scaled.
        growth: how the factor grows; of no effect without continuation.
    """

    alpha: float | None = 0.1
    batch_pairs: bool = False
    continuation: Continuation = Continuation.NONE
    growth: Growth = Growth.STEPS

    def __post_init__(self) -> None:
        if self.alpha is not None and not self.alpha > 0:
            raise UsageError(f"alpha must be above 0, or none for 10 / K, found {self.alpha}")

    @override
    def bind(self, setup: LossSetup) -> BoundLoss:
        return _OverBatch(self, setup) if self.batch_pairs else _OverMemory(self, setup)


class _OverMemory(MemoryLoss):
    def __init__(self, terms: HashNet, setup: LossSetup) -> None:
        super().__init__(setup)
        self.alpha = 10 / setup.bits if terms.alpha is None else terms.alpha
        self.sharpen = Sharpener(terms.continuation, terms.growth, len(setup.labels))

    @override
    def forward(self, outputs: Tensor, labels: Tensor, index: Tensor) -> Tensor:
        sharp = self.sharpen(outputs)
        self.enter(sharp, index)
        return balanced(self.alpha * sharp @ self.memory.T, relevant(labels, self.labels))

    @override
    def keeps(self) -> Mapping[str, Kept]:
        return {"sharpen": self.sharpen}


class _OverBatch(BoundLoss):
    def __init__(self, terms: HashNet, setup: LossSetup) -> None:
        super().__init__()
        self.alpha = 10 / setup.bits if terms.alpha is None else terms.alpha
        self.sharpen = Sharpener(terms.continuation, terms.growth, len(setup.labels))

    @override
    def forward(self, outputs: Tensor, labels: Tensor, index: Tensor) -> Tensor:
        sharp = self.sharpen(outputs)
        return balanced(self.alpha * sharp @ sharp.T, relevant(labels, labels))

    @override
    def keeps(self) -> Mapping[str, Kept]:
        return {"sharpen": self.sharpen}


def balanced(theta: Tensor, near: Tensor) -> Tensor:
    """The class-balanced mean of the pairs' negative log likelihood, a scalar.

    Args:
        theta: (B, N) scaled inner products.
        near: (B, N), 1 for a relevant pair, else 0.
    """
    pairs = negative_log_likelihood(theta, near)
    far = 1 - near
    return (pairs * near).sum() / pair_count(near) + (pairs * far).sum() / pair_count(far)


class Sharpener:
    """The continuation of one training: counts batches and items, and scales outputs."""

    def __init__(self, continuation: Continuation, growth: Growth, items: int) -> None:
        """Start at a factor of 1; `items` make an epoch."""
        self._continuation = continuation
        self._growth = growth
        self._items = items
        self._seen = 0
        self._steps = 0

    def __call__(self, outputs: Tensor) -> Tensor:
        """Sharpened outputs of the next batch, (B, K) in (-1, 1)."""
        self._steps += 1
        factor = self.factor()
        self._seen += len(outputs)
        match self._continuation:
            case Continuation.OUTPUTS:
                return torch.tanh(factor * outputs)
            case Continuation.LOGITS if factor != 1:
                # A saturated output has no finite logit, and no gradient to pass on either.
                limit = 1 - torch.finfo(outputs.dtype).eps
                return torch.tanh(factor * torch.atanh(outputs.clamp(-limit, limit)))
        return outputs

    def state_dict(self) -> Mapping[str, int]:
        """What was counted so far."""
        return {"seen": self._seen, "steps": self._steps}

    def load_state_dict(self, state_dict: Mapping[str, int], /) -> None:
        """Go on counting from there."""
        self._seen, self._steps = state_dict["seen"], state_dict["steps"]

    def factor(self) -> float:
        """The factor of the current step."""
        if self._growth is Growth.EPOCHS:
            return math.sqrt(self._seen // self._items // 20 + 1)
        return math.sqrt(1 + 0.005 * (self._steps - self._steps % 200))
