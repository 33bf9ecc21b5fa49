"""A small network without batch norm, whose bounds stay narrow: for proofs, from scratch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from torch import nn
from typing_extensions import override

from hashbench.errors import UsageError
from hashbench.hashing.backbone import BackboneNet, InputSpec
from hashbench.plugins import Backbone, backbone

_SMALLEST: Final = 4


@backbone("plain-cnn", cite="Gowal et al., IBP, 2018, https://arxiv.org/abs/1810.12715")
@dataclass(frozen=True)
class PlainCNN(Backbone):
    """Two strided 4x4 convolutions and one hidden layer, no batch norm; no pretrained weights.

    Few layers and few inputs of each unit keep interval bounds narrow: it is of the kind of the
    small nets of Gowal et al., which have the same kernels. What it is for is the defense
    `certified`; others train on it too.

    Attributes:
        width: channels of the first convolution; the second has twice as many.
        hidden: units of the hidden layer, the features that the hash layer sees.
    """

    width: int = 16
    hidden: int = 100

    def __post_init__(self) -> None:
        if self.width < 1 or self.hidden < 1:
            raise UsageError(
                f"width and hidden must be 1 or more, found {self.width} and {self.hidden}"
            )

    @override
    def build(self, images: InputSpec) -> BackboneNet:
        """Build the network for images of at least 4 pixels a side; see `Backbone.build`.

        Raises:
            UsageError: they are smaller.
        """
        rows, columns = images.height // 4, images.width // 4
        if min(images.height, images.width) < _SMALLEST:
            raise UsageError(
                f"backbone 'plain-cnn' needs images of at least {_SMALLEST} pixels a side, found "
                f"{images.height} x {images.width}"
            )
        module = nn.Sequential(
            *_stage(images.channels, self.width),
            *_stage(self.width, 2 * self.width),
            nn.Flatten(),
            nn.Linear(2 * self.width * rows * columns, self.hidden),
            nn.ReLU(),
        )
        return BackboneNet(module, self.hidden, images.mean, images.std)


def _stage(inputs: int, outputs: int) -> list[nn.Module]:
    """A convolution that halves each side, rounding down, and its activation."""
    return [nn.Conv2d(inputs, outputs, 4, stride=2, padding=1), nn.ReLU()]
