"""The stage that hashing losses are tried on: one of them, and questions to what it binds."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hashbench.hashing.contract import Loss
from hashbench.hashing.objective import BoundLoss
from hashbench.hashing.setup import LossSetup
from hashbench.testing.checking import require
from hashbench.testing.surroundings import own_random_state
from hashbench.testing.world import BITS, Bystander

ITEMS, BATCH, CLASSES = 24, 8, 4


@dataclass(frozen=True)
class Ask:
    """One question to a bound loss.

    Attributes:
        labels: (N, classes) of the train set.
        outputs: (N, K); the loss is asked of the rows `index`.
        index: (B,).
    """

    labels: Tensor
    outputs: Tensor
    index: Tensor

    @property
    def rows(self) -> Tensor:
        """The labels of the batch."""
        return self.labels[self.index]


def ask(
    *, bits: int = BITS, items: int = ITEMS, batch: int = BATCH, labels: Tensor | None = None
) -> Ask:
    """A question with random outputs; by default every third item has two labels."""
    generator = torch.Generator().manual_seed(11)
    if labels is None:
        labels = single_labels(items)
        labels[::3, 0] = 1
    outputs = torch.tanh(torch.randn((len(labels), bits), generator=generator))
    return Ask(labels, outputs, torch.randperm(len(labels), generator=generator)[:batch])


def single_labels(items: int = ITEMS) -> Tensor:
    """One label each, in turn."""
    return torch.eye(CLASSES)[torch.arange(items) % CLASSES]


def _images(items: int) -> NDArray[np.uint8]:
    """Train images of noise."""
    return np.random.default_rng(5).integers(0, 256, (items, 1, 8, 8), dtype=np.uint8)


class LossStage:
    """Asks one loss."""

    def __init__(self, loss: Loss) -> None:
        """Take a loss, which is never changed."""
        self.plugin = loss
        self.bystander = Bystander()

    def bind(self, question: Ask) -> BoundLoss:
        """Bind it to the question's train set, its memory filled."""
        bound = self.bound(question)
        bound.remember(question.outputs.clone())
        return bound

    def bound(self, question: Ask) -> BoundLoss:
        """Bind it to the question's train set, as it comes."""
        setup = LossSetup(
            labels=question.labels.clone(),
            bits=question.outputs.shape[1],
            generator=torch.Generator().manual_seed(0),
            images=_images(len(question.labels)),
        )
        return self.plugin.bind(setup)

    @property
    def blamed(self) -> tuple[object, str]:
        """Whose method breaks a rule on the loss: that of what it binds."""
        return self.bound(ask()), "forward"

    def value(
        self, question: Ask, bound: BoundLoss | None = None, seed: int = 0
    ) -> tuple[Tensor, Tensor]:
        """The loss, and the outputs (B, K) that it was asked of, which carry its gradient.

        Args:
            question: what is asked.
            bound: of whom; bound anew by default.
            seed: of the process-wide generators.
        """
        with own_random_state(seed):
            bound = self.bind(question) if bound is None else bound
            outputs = question.outputs[question.index].clone().requires_grad_(True)
            value = bound(outputs, question.rows.clone(), question.index.clone())
            if isinstance(value, Tensor) and value.ndim == 0 and value.requires_grad:
                value.backward()
        return value, outputs

    @cached_property
    def usual(self) -> tuple[Tensor, Tensor]:
        """Value and outputs of an ordinary batch."""
        return self.value(ask())

    def number(self, question: Ask, bound: BoundLoss | None = None) -> float:
        """The value of another question."""
        return float(self.value(question, bound)[0].detach())

    @property
    def has_memory(self) -> bool:
        """Whether its class says what to do with the outputs of the whole train set."""
        return type(self.bind(ask())).remember is not BoundLoss.remember

    def finite_on(self, what: str, question: Ask) -> None:
        """A finite value and gradient of another question."""
        loss, outputs = self.value(question)
        value = float(loss.detach())
        require(math.isfinite(value), f"{what}, it is {value}")
        require(
            outputs.grad is not None and bool(torch.isfinite(outputs.grad).all()),
            f"{what}, its gradient is not finite",
        )
