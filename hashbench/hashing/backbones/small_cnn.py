"""A small convolutional network for small images, trained from scratch in seconds."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn
from typing_extensions import override

from hashbench.hashing.backbones.strided import StridedCNN
from hashbench.plugins import backbone


@backbone("small-cnn")
@dataclass(frozen=True)
class SmallCNN(StridedCNN):
    """Two strided 5x5 convolutions with batch norm and one hidden layer; no pretrained weights.

    Attributes:
        width: channels of the first convolution; the second has twice as many.
        hidden: units of the hidden layer, the features that the hash layer sees.
    """

    @override
    def stage(self, inputs: int, outputs: int) -> list[nn.Module]:
        return [
            nn.Conv2d(inputs, outputs, 5, stride=2, padding=2),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
        ]

    @override
    def halved(self, side: int) -> int:
        return -(-side // 2)
