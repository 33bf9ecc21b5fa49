"""The threat: how far an attacker may move a pixel, and what becomes of his answer."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from hashbench.data.protocol import PixelValues
from hashbench.eps import Eps

LEVELS: Final = 255
"""The largest value of a pixel of 8 bits."""


@dataclass(frozen=True)
class Threat:
    """An L-infinity ball around each image, cut with the box `[0, 1]`.

    Attributes:
        eps: its radius.
        pixels: which values an answer has in the end: with `PixelValues.EIGHT_BIT` it is rounded,
            see `settled`. An attack may heed that; `project` does not.
    """

    eps: Eps
    pixels: PixelValues = PixelValues.FLOAT

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

    def settled(self, perturbed: Tensor, images: Tensor) -> Tensor:
        """What counts of an answer: the nearest point of ball and box with such pixels.

        With `PixelValues.FLOAT` that is `project`. With `PixelValues.EIGHT_BIT` it is the nearest
        whole 255th that lies in ball and box; of two that are equally near, the even one. Clean
        images are whole 255ths, so the grid's ball has the radius `floor(255 eps) / 255`: of an eps
        below 1/255 nothing is left. The values are those of a uint8 image divided by 255, to the
        bit.

        Args:
            perturbed: any tensor like `images`.
            images: the clean images in `[0, 1]`; whole 255ths where the answer is to have such.
        """
        if self.pixels is PixelValues.FLOAT:
            return self.project(perturbed, images)
        # Counted in whole levels, in double: no rounding of float32 decides between two of them.
        clean = (images.double() * LEVELS).round()
        steps = math.floor(self.eps.fraction * LEVELS)
        nearest = (perturbed.double() * LEVELS).round()
        levels = torch.clamp(nearest, clean - steps, clean + steps).clamp(0, LEVELS)
        return levels.to(images.dtype).div_(LEVELS)

    def bounds(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The least and the largest value of every pixel, like `images`."""
        return (images - self.radius).clamp(min=0.0), (images + self.radius).clamp(max=1.0)
