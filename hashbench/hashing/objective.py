"""What the trainer minimises: the contracts of a bound loss and of a training objective."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import Parameter
from typing_extensions import override

from hashbench.hashing.kept import Kept


@dataclass(frozen=True)
class Batch:
    """The images of one training step.

    Attributes:
        images: (B, C, H, W) float32 in `[0, 1]`.
        labels: (B, classes) float32 of 0 and 1.
        index: (B,) int64, the images' positions in the train set.
        progress: the share of the training's steps that are done, 0 in the first step and below 1
            in the last.
    """

    images: Tensor
    labels: Tensor
    index: Tensor
    progress: float = 0.0


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

    def class_codes(self) -> Tensor | None:
        """The code of each class, (classes, K) of +1 and -1, of a loss that pulls outputs to such.

        `None`, the default, for a loss of pairs, which has none.
        """
        return None

    def keeps(self) -> Mapping[str, Kept] | None:
        """What changes while it trains, beside its parameters and buffers, by name.

        With it an interrupted training goes on from its last finished epoch, to the byte: what is
        named is written after every epoch and given back to a loss that was bound afresh. `{}`
        where parameters and buffers are all; counters of an `nn.Module` may go through torch's
        `get_extra_state`. `None`, the default, does not say, and the training starts again.
        """
        return None


class Objective(ABC):
    """The objective of one training: gives the loss of each batch."""

    @abstractmethod
    def loss(self, batch: Batch) -> Tensor:
        """The scalar to minimise, with its graph to the model's parameters."""

    def parameters(self) -> Iterable[Parameter]:
        """Parameters beside the model's that the trainer's optimiser has to update."""
        return ()

    def keeps(self) -> Mapping[str, Kept] | None:
        """All that changes while it trains, beside the model and its optimiser, by name.

        The hashing loss, memories (tensors), networks and optimisers of its own, generators. What
        is not named has to be at the start of every epoch as it was after the objective was built.
        As for `BoundLoss.keeps`, `None`, the default, does not say, and an interrupted training
        starts again.
        """
        return None
