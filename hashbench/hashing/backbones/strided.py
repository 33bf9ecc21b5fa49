"""What the small networks of hashbench share: two convolutions that halve, and a hidden layer."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from torch import nn
from typing_extensions import override

from hashbench.errors import UsageError
from hashbench.hashing.backbone import BackboneNet, InputSpec
from hashbench.plugins import Backbone


@dataclass(frozen=True)
class StridedCNN(Backbone):
    """Two convolutions, of `width` and twice as many channels, and `hidden` units; no pooling."""

    smallest: ClassVar[int] = 1
    """The shortest side of an image that it takes, in pixels."""

    width: int = 16
    hidden: int = 128

    def __post_init__(self) -> None:
        if self.width < 1 or self.hidden < 1:
            raise UsageError(
                f"width and hidden must be 1 or more, found {self.width} and {self.hidden}"
            )

    @override
    def build(self, images: InputSpec) -> BackboneNet:
        """Build the network; see `Backbone.build`.

        Raises:
            UsageError: the images are smaller than `smallest`.
        """
        if min(images.height, images.width) < self.smallest:
            raise UsageError(
                f"backbone '{self.card.name}' needs images of at least {self.smallest} pixels a "
                f"side, found {images.height} x {images.width}"
            )
        rows, columns = (self.halved(self.halved(side)) for side in (images.height, images.width))
        module = nn.Sequential(
            *self.stage(images.channels, self.width),
            *self.stage(self.width, 2 * self.width),
            nn.Flatten(),
            nn.Linear(2 * self.width * rows * columns, self.hidden),
            nn.ReLU(),
        )
        return BackboneNet(module, self.hidden, images.mean, images.std)

    @abstractmethod
    def stage(self, inputs: int, outputs: int) -> list[nn.Module]:
        """A convolution of stride 2 from so many channels to so many, and what follows it."""

    @abstractmethod
    def halved(self, side: int) -> int:
        """What a stage leaves of a side."""
