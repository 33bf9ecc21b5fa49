"""What the author of a hashing method implements: its `Loss`, and the `Backbone` under it."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

from hashbench.hashing.backbone import BackboneNet, InputSpec
from hashbench.hashing.objective import BoundLoss
from hashbench.hashing.setup import LossSetup
from hashbench.plugins.base import Plugin


@dataclass(frozen=True)
class Loss(Plugin):
    """A hashing method's training loss."""

    @abstractmethod
    def bind(self, setup: LossSetup) -> BoundLoss:
        """Build the loss of one training: with its memory of outputs, its centers, its layers."""


@dataclass(frozen=True)
class Backbone(Plugin):
    """The network under the hash layer."""

    @abstractmethod
    def build(self, images: InputSpec) -> BackboneNet:
        """Build the network; fresh weights are drawn from torch's current random state."""

    def bare(self) -> Backbone:
        """The same network without its pretrained weights, for weights that are loaded after it.

        By default itself. Normalisation lies in the loaded weights too.
        """
        return self
