"""DSDH: the likelihood of pairwise similarities beside discrete codes that predict the labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
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
    "dsdh",
    cite="Li et al., DSDH, NeurIPS 2017",
    presets={"cgat": {}, "deephash": {"every_batch": True}},
)
@dataclass(frozen=True)
class DSDH(Loss):
    """DPSH's likelihood, and discrete codes B of the train set with a linear classifier W on them.

    `mean(softplus(t) - s t) + mu * mean((y - W^T b)^2) + nu * mean(W^2)`, t = u U^T / 2. Codes and
    classifier are found by discrete cyclic coordinate descent, before every epoch (as CgAT does;
    DeepHash-pytorch before every batch, preset `deephash`):
    `W = (B B^T + nu / mu I)^-1 B Y^T`, then bit by bit
    `b_k = sign(w_k Y + eta / mu u_k - w_k W'^T B')`, W' and B' without bit k. As coded in both
    repositories B is no function of u, so the classifier's two terms have a value but no gradient:
    the network is trained by the likelihood alone. In the first epoch of a training from scratch
    nothing is known yet, and B and W are zero.

    Attributes:
        mu: factor of the classification term.
        nu: factor of the classifier's size.
        eta: how strongly codes are held to the outputs.
        iterations: rounds of coordinate descent at a time.
        every_batch: descend before every batch, on the memory that holds it.
    """

    mu: float = 1.0
    nu: float = 1.0
    eta: float = 55.0
    iterations: int = 10
    every_batch: bool = False

    def __post_init__(self) -> None:
        for name in ("mu", "nu"):
            if not getattr(self, name) > 0:
                raise UsageError(f"{name} must be above 0, found {getattr(self, name)}")
        for name, least in (("eta", 0), ("iterations", 1)):
            if not getattr(self, name) >= least:
                raise UsageError(f"{name} must be {least} or more, found {getattr(self, name)}")

    @override
    def bind(self, setup: LossSetup) -> BoundLoss:
        return _BoundDSDH(self, setup)


class _BoundDSDH(MemoryLoss):
    """Beside the memory: `codes`, B as (N, K), and `classifier`, W as (K, classes)."""

    codes: Tensor
    classifier: Tensor

    def __init__(self, terms: DSDH, setup: LossSetup) -> None:
        super().__init__(setup)
        self.terms = terms
        self.seen = 0
        self.register_buffer("codes", torch.zeros_like(self.memory))
        self.register_buffer("classifier", torch.zeros(setup.bits, setup.labels.shape[1]))

    @override
    def remember(self, outputs: Tensor) -> None:
        super().remember(outputs)
        self.codes.copy_(outputs.sign())
        self._descend()

    @override
    def forward(self, outputs: Tensor, labels: Tensor, index: Tensor) -> Tensor:
        if not self.terms.every_batch and self.seen >= len(self.labels):
            self._descend()
        self.seen += len(index)
        self.enter(outputs, index)
        if self.terms.every_batch:
            self._descend()
        likelihood = negative_log_likelihood(
            outputs @ self.memory.T / 2, relevant(labels, self.labels)
        ).mean()
        error = (labels - self.codes[index] @ self.classifier).square().mean()
        size = self.classifier.square().mean()
        return likelihood + self.terms.mu * error + self.terms.nu * size

    @torch.no_grad()
    def _descend(self) -> None:
        """Begin an epoch: improve codes and classifier by turns."""
        self.seen = 0
        terms = self.terms
        ridge = terms.nu / terms.mu * torch.eye(self.codes.shape[1], device=self.codes.device)
        held = terms.eta / terms.mu * self.memory
        for _ in range(terms.iterations):
            gram = self.codes.T @ self.codes + ridge
            # Positive definite by its ridge. `solve` would wait for the device to hear so.
            self.classifier = torch.linalg.solve_ex(gram, self.codes.T @ self.labels).result
            wanted = self.labels @ self.classifier.T + held
            overlap = self.classifier @ self.classifier.T
            overlap.fill_diagonal_(0)
            for bit in range(self.codes.shape[1]):
                # The sign of a zero stays zero, as in both scripts.
                self.codes[:, bit] = (wanted[:, bit] - self.codes @ overlap[bit]).sign()

    @override
    def keeps(self) -> Mapping[str, Kept]:
        return {}

    @override
    def get_extra_state(self) -> Tensor:
        return torch.tensor(self.seen)

    @override
    def set_extra_state(self, state: Tensor) -> None:
        self.seen = int(state)
