"""The threat: how far an attacker may move a pixel, and what becomes of his answer."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from hashbench.data.protocol import PixelValues
from hashbench.eps import Eps, Norm

LEVELS: Final = 255
"""The largest value of a pixel of 8 bits."""

_MARGIN: Final = 2.0**-20
"""By which share a projection stays below the radius of an L2 ball: more than the products round.
What the sums round, 2^-25 for each pixel, `ROUNDING` in `answer.py` allows."""


@dataclass(frozen=True)
class Threat:
    """A ball around each image, cut with the box `[0, 1]`.

    Attributes:
        eps: its radius, and of which norm it is.
        pixels: which values an answer has in the end: with `PixelValues.EIGHT_BIT` it is rounded,
            see `settled`. An attack may heed that; `project` does not.
    """

    eps: Eps
    pixels: PixelValues = PixelValues.FLOAT

    @property
    def radius(self) -> float:
        """The ball's radius in `[0, 1]` pixels."""
        return float(self.eps)

    @property
    def norm(self) -> Norm:
        """The ball's norm."""
        return self.eps.norm

    def project(self, perturbed: Tensor, images: Tensor) -> Tensor:
        """A point of the ball and the box near to any point; of radius 0, the images themselves.

        A point that lies in both stays. In L-infinity it is the nearest point of both, elementwise.
        In L2 it is the nearest point of the ball, cut to the box, which brings no pixel farther
        from its clean value.

        Args:
            perturbed: any tensor like `images`, (B, C, H, W).
            images: the clean images in `[0, 1]`, the balls' centers.
        """
        lowest, highest = self.bounds(images)
        if self.norm is Norm.LINF:
            return torch.clamp(perturbed, lowest, highest)
        change = perturbed - images
        longest = self.radius * (1 - _MARGIN)
        share = longest / self.distance(perturbed, images).clamp(min=1e-300)
        shrunk = images + change * _per_image(share.clamp(max=1.0), images).to(images.dtype)
        inside = _per_image(share >= 1, images)
        return torch.clamp(torch.where(inside, perturbed, shrunk), lowest, highest)

    def distance(self, perturbed: Tensor, images: Tensor) -> Tensor:
        """How far each image is from its clean one in the ball's norm: float64 (B,)."""
        change = (perturbed.double() - images.double()).flatten(1)
        if self.norm is Norm.LINF:
            return change.abs().amax(dim=1) if change.shape[1] else change.sum(dim=1)
        return change.square().sum(dim=1).sqrt()

    def settled(self, perturbed: Tensor, images: Tensor) -> Tensor:
        """What counts of an answer: a point of ball and box with such pixels.

        With `PixelValues.FLOAT` that is `project`. With `PixelValues.EIGHT_BIT` and L-infinity it
        is the nearest whole 255th that lies in ball and box; of two that are equally near, the even
        one. Clean images are whole 255ths, so the grid's ball has the radius `floor(255 eps) /
        255`: of an eps below 1/255 nothing is left. In L2 the point is projected first; where the
        nearest whole 255ths lie outside of the ball, every pixel of the image is rounded towards
        its clean value instead. The values are those of a uint8 image divided by 255, to the bit.

        Args:
            perturbed: any tensor like `images`.
            images: the clean images in `[0, 1]`; whole 255ths where the answer is to have such.
        """
        if self.pixels is PixelValues.FLOAT:
            return self.project(perturbed, images)
        # Counted in whole levels, in double: no rounding of float32 decides between two of them.
        clean = (images.double() * LEVELS).round()
        if self.norm is Norm.L2:
            inside = self.project(perturbed, images).double() * LEVELS
            nearest = inside.round().clamp(0, LEVELS)
            outside = (nearest - clean).flatten(1).norm(dim=1) > self.radius * LEVELS
            levels = torch.where(
                _per_image(outside, images), clean + (inside - clean).trunc(), nearest
            )
            return levels.to(images.dtype).div_(LEVELS)
        steps = math.floor(self.eps.fraction * LEVELS)
        nearest = (perturbed.double() * LEVELS).round()
        levels = torch.clamp(nearest, clean - steps, clean + steps).clamp(0, LEVELS)
        return levels.to(images.dtype).div_(LEVELS)

    def bounds(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The least and the largest value of every pixel in ball and box, like `images`."""
        return (images - self.radius).clamp(min=0.0), (images + self.radius).clamp(max=1.0)


def _per_image(values: Tensor, images: Tensor) -> Tensor:
    """Values of (B,) that meet images of (B, C, H, W)."""
    return values.view(-1, *[1] * (images.dim() - 1))
