"""A small convolutional network for small images, trained from scratch in seconds."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn
from typing_extensions import override

from hashbench.errors import UsageError
from hashbench.hashing.backbone import BackboneNet, InputSpec
from hashbench.plugins import Backbone, backbone


@backbone("small-cnn")
@dataclass(frozen=True)
class SmallCNN(Backbone):
    """Two strided 5x5 convolutions with batch norm and one hidden layer; no pretrained weights.

    Attributes:
        width: channels of the first convolution; the second has twice as many.
        hidden: units of the hidden layer, the features that the hash layer sees.
    """

    width: int = 16
    hidden: int = 128

    def __post_init__(self) -> None:
        if self.width < 1 or self.hidden < 1:
            raise UsageError(
                f"width and hidden must be 1 or more, found {self.width} and {self.hidden}"
            )

    @override
    def build(self, images: InputSpec) -> BackboneNet:
        """Build the network for images of any size; see `Backbone.build`."""
        # Each convolution halves the side, rounding up.
        rows, columns = -(-images.height // 4), -(-images.width // 4)
        module = nn.Sequential(
            *_stage(images.channels, self.width),
            *_stage(self.width, 2 * self.width),
            nn.Flatten(),
            nn.Linear(2 * self.width * rows * columns, self.hidden),
            nn.ReLU(),
        )
        return BackboneNet(module, self.hidden, images.mean, images.std)


def _stage(inputs: int, outputs: int) -> list[nn.Module]:
    return [
        nn.Conv2d(inputs, outputs, 5, stride=2, padding=2),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    ]
