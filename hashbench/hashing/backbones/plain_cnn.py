"""A small network without batch norm, whose bounds stay narrow: for proofs, from scratch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import nn
from typing_extensions import override

from hashbench.hashing.backbones.strided import StridedCNN
from hashbench.plugins import backbone


@backbone("plain-cnn", cite="Gowal et al., IBP, 2018, https://arxiv.org/abs/1810.12715")
@dataclass(frozen=True)
class PlainCNN(StridedCNN):
    """Two strided 4x4 convolutions and one hidden layer, no batch norm; no pretrained weights.

    Few layers and few inputs of each unit keep interval bounds narrow: it is of the kind of the
    small nets of Gowal et al., which have the same kernels. What it is for is the defense
    `certified`; others train on it too.

    Attributes:
        width: channels of the first convolution; the second has twice as many.
        hidden: units of the hidden layer, the features that the hash layer sees.
    """

    smallest: ClassVar[int] = 4

    hidden: int = 100

    @override
    def stage(self, inputs: int, outputs: int) -> list[nn.Module]:
        return [nn.Conv2d(inputs, outputs, 4, stride=2, padding=1), nn.ReLU()]

    @override
    def halved(self, side: int) -> int:
        return side // 2
