"""A small convolutional network for small images, trained from scratch in seconds."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from hashbench.errors import UsageError
from hashbench.hashing.backbone import BackboneNet, InputSpec
from hashbench.plugins import Backbone, backbone


@backbone("small-cnn")
@dataclass(frozen=True)
class SmallCNN(Backbone):
    """Three strided convolutions with batch norm and one hidden layer; no pretrained weights.

    Attributes:
        width: channels of the first convolution; the others have twice as many.
        hidden: units of the hidden layer, the features that the hash layer sees.
    """

    width: int = 32
    hidden: int = 128

    def __post_init__(self) -> None:
        if self.width < 1 or self.hidden < 1:
            raise UsageError(
                f"width and hidden must be 1 or more, found {self.width} and {self.hidden}"
            )

    def build(self, images: InputSpec) -> BackboneNet:
        """Build the network for images of any size; see `Backbone.build`."""
        wide = 2 * self.width
        # Each convolution halves the side, rounding up.
        rows, columns = -(-images.height // 8), -(-images.width // 8)
        module = nn.Sequential(
            *_stage(images.channels, self.width, kernel=5),
            *_stage(self.width, wide, kernel=3),
            *_stage(wide, wide, kernel=3),
            nn.Flatten(),
            nn.Linear(wide * rows * columns, self.hidden),
            nn.ReLU(),
        )
        return BackboneNet(module, self.hidden, images.mean, images.std)


def _stage(inputs: int, outputs: int, *, kernel: int) -> list[nn.Module]:
    return [
        nn.Conv2d(inputs, outputs, kernel, stride=2, padding=kernel // 2),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    ]
