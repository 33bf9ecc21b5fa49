"""Shared by losses over pairs: the memory of all train outputs, and the likelihood of a pair."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F
from typing_extensions import override

from hashbench.hashing.objective import BoundLoss
from hashbench.hashing.setup import LossSetup


class MemoryLoss(BoundLoss):
    """A loss between a batch and a memory of all train outputs, which carries no gradient.

    Attributes:
        memory: U, (N, K), all zero until the first batches (or `remember`) fill it.
        labels: (N, classes), all known from the start. Some scripts learn them batch by batch, so
            that in their first epoch items not yet seen count as irrelevant.
    """

    memory: Tensor
    labels: Tensor

    def __init__(self, setup: LossSetup) -> None:
        super().__init__()
        self.register_buffer("labels", setup.labels)
        self.register_buffer("memory", torch.zeros(len(setup.labels), setup.bits))

    @override
    def remember(self, outputs: Tensor) -> None:
        """Fill the memory with the outputs (N, K) of the whole train set."""
        self.memory.copy_(outputs)

    def enter(self, outputs: Tensor, index: Tensor) -> None:
        """Write a batch's outputs into the memory, before its own loss is computed."""
        self.memory[index] = outputs.detach()


def negative_log_likelihood(theta: Tensor, near: Tensor) -> Tensor:
    """The negative log likelihood of each pair's relevance, `softplus(theta) - near * theta`.

    Args:
        theta: (B, N) similarities; their sigmoid is the probability of being relevant.
        near: (B, N), 1 for a relevant pair, else 0.
    """
    return F.softplus(theta) - near * theta


def pair_count(near: Tensor) -> Tensor:
    """Number of relevant pairs, a scalar; at least 1, as it is divided by."""
    return near.sum().clamp(min=1)
