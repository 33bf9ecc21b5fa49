"""What the trainer minimises: the contracts of a bound loss and of a training objective."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import Parameter
from typing_extensions import override


@dataclass(frozen=True)
class Batch:
    """The images of one training step.

    Attributes:
        images: (B, C, H, W) float32 in `[0, 1]`.
        labels: (B, classes) float32 of 0 and 1.
        index: (B,) int64, the images' positions in the train set.
    """

    images: Tensor
    labels: Tensor
    index: Tensor


class BoundLoss(nn.Module, ABC):
    """A hashing loss bound to one train set: holds what its formula needs beyond the batch.

    A memory of all outputs is a buffer of the subclass; layers of its own are trained with the
    model.
    """

    @abstractmethod
    @override
    def forward(self, outputs: Tensor, labels: Tensor, index: Tensor) -> Tensor:
        """The scalar loss of a batch.

        Args:
            outputs: u, (B, K) in (-1, 1), with gradient.
            labels: (B, classes) float32 of 0 and 1.
            index: (B,) the items' positions in the train set.
        """

    def remember(self, outputs: Tensor) -> None:
        """Fill the memory, where there is one, before training.

        Args:
            outputs: (N, K) for the whole train set, in its order.
        """


class Objective(ABC):
    """The objective of one training: gives the loss of each batch."""

    @abstractmethod
    def loss(self, batch: Batch) -> Tensor:
        """The scalar to minimise, with its graph to the model's parameters."""

    def parameters(self) -> Iterable[Parameter]:
        """Parameters beside the model's that the trainer's optimiser has to update."""
        return ()
