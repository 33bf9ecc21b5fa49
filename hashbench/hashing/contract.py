"""What the author of a hashing method implements: its `Loss`, and the `Backbone` under it."""

from __future__ import annotations

from abc import abstractmethod

from hashbench.hashing.backbone import BackboneNet, InputSpec
from hashbench.hashing.objective import BoundLoss
from hashbench.hashing.setup import LossSetup
from hashbench.plugins.base import Plugin


class Loss(Plugin):
    """A hashing method's training loss."""

    @abstractmethod
    def bind(self, setup: LossSetup) -> BoundLoss:
        """Build the loss of one training: with its memory of outputs, its centers, its layers.

        Args:
            setup: `labels` of the train set, (N, classes); `bits`; the `generator` to draw from.

        Returns:
            A `hashbench.hashing.BoundLoss`: `forward(outputs, labels, index)` gives one number.
        """


class Backbone(Plugin):
    """The network under the hash layer."""

    @abstractmethod
    def build(self, images: InputSpec) -> BackboneNet:
        """Build the network; fresh weights are drawn from torch's current random state.

        Args:
            images: `channels`, `height` and `width` of the images that it will see; `mean` and
                `std` of the train set by channel, in `[0, 1]` pixels.

        Returns:
            `hashbench.hashing.BackboneNet(module, features, mean, std)`: an `nn.Module` that maps
            normalised images (B, C, H, W) to features (B, features), and the normalisation.

        Raises:
            UsageError: it cannot take such images.
        """

    def bare(self) -> Backbone:
        """The same network without its pretrained weights, for weights that are loaded after it.

        By default itself. Normalisation lies in the loaded weights too.
        """
        return self
