"""What a trained attack is handed: the sizes of its network, and all that a training may use."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from hashbench.attacking.attacked_model import AttackedModel
from hashbench.attacking.threat import Threat
from hashbench.data.images import ImageSet
from hashbench.hashing.encode import as_images
from hashbench.progress import Progress


@dataclass(frozen=True)
class NetworkSizes:
    """What a network of an attack is built for.

    Attributes:
        shape: (C, H, W) of the images.
        classes: label columns.
        bits: code length K.
    """

    shape: tuple[int, int, int]
    classes: int
    bits: int


@dataclass(frozen=True)
class AttackerSetup:
    """One training of an attack's network.

    Attributes:
        model: the attacked model; parameters frozen, eval mode.
        train: the training images and their labels.
        labels: their labels, float32 (N, classes).
        codes: their codes under the attacked model, float32 (N, K).
        threat: the ball that the attack will have.
        generator: for every draw.
        progress: told (done, total), in the attack's own units.
    """

    model: AttackedModel
    train: ImageSet
    labels: Tensor
    codes: Tensor
    threat: Threat
    generator: torch.Generator
    progress: Progress

    def images(self, index: Tensor) -> Tensor:
        """Training images by their positions (B,), as float32 (B, C, H, W) in `[0, 1]`."""
        return as_images(self.train.images[index.cpu().numpy()], self.labels.device)


def sizes_of(train: ImageSet, bits: int) -> NetworkSizes:
    """The sizes that an attack's network is built for."""
    _, channels, height, width = train.images.shape
    return NetworkSizes((channels, height, width), train.classes, bits)
