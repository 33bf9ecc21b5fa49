"""The threat: how far an attacker may move a pixel."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from hashbench.eps import Eps


@dataclass(frozen=True)
class Threat:
    """An L-infinity ball around each image, cut with the box `[0, 1]`."""

    eps: Eps

    @property
    def radius(self) -> float:
        """The ball's radius in `[0, 1]` pixels."""
        return float(self.eps)

    def project(self, perturbed: Tensor, images: Tensor) -> Tensor:
        """The nearest point of the ball and the box, elementwise; exact for radius 0.

        Args:
            perturbed: any tensor like `images`.
            images: the clean images in `[0, 1]`, the balls' centers.
        """
        return torch.clamp(perturbed, *self.bounds(images))

    def bounds(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The least and the largest value of every pixel, like `images`."""
        return (images - self.radius).clamp(min=0.0), (images + self.radius).clamp(max=1.0)
