"""The threat: how far an attacker may move an image, and what becomes of his answer."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from hashbench.attacking.ball import per_image
from hashbench.data.protocol import PixelValues
from hashbench.eps import Eps, Norm

LEVELS: Final = 255
"""The largest value of a pixel of 8 bits."""

_MARGIN: Final = 2.0**-20
"""By which share a projection into an L2 ball stays below its radius. A point farther out than half
of it is projected: between the two there is room for what the products round, 2^-22 together."""

_ROUNDED: Final = 2.0**-25
"""What the sum of a pixel and its change rounds at most: half the distance of floats below 1."""

_FAR: Final = 1e30
"""A change of a pixel beyond it counts as this: its float32 shares and products are finite."""


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
        return self.projection(images)(perturbed)

    def projection(self, images: Tensor) -> Callable[[Tensor], Tensor]:
        """`project` for many points around the same images: any tensor like them -> one like them.

        What can be known before is computed once. In L-infinity the images are not kept.

        Args:
            images: the clean images in `[0, 1]`, the balls' centers.
        """
        if self.norm is Norm.L2:
            return lambda perturbed: self._nearest_l2(perturbed, images)
        lowest, highest = self.bounds(images)
        return lambda perturbed: torch.clamp(perturbed, lowest, highest)

    def _nearest_l2(self, perturbed: Tensor, images: Tensor) -> Tensor:
        """The point of each L2 ball that is nearest to a point, cut to the box."""
        if self.radius == 0:
            return images.clone()
        change = (perturbed - images).clamp_(-_FAR, _FAR)
        distance = _length(change)
        # Room for what a projected point was rounded by, so that it is not moved a second time.
        rounded = _ROUNDED * math.sqrt(images[:1].numel())
        inside = distance <= self.radius * (1 - _MARGIN / 2) + rounded
        share = self.radius * (1 - _MARGIN) / distance.clamp(min=self.radius / 2)
        shrunk = torch.addcmul(images, change, per_image(share, images).to(change.dtype))
        return torch.where(per_image(inside, images), perturbed, shrunk).clamp(0.0, 1.0)

    def distance(self, perturbed: Tensor, images: Tensor) -> Tensor:
        """How far each image is from its clean one in the ball's norm: float64 (B,)."""
        change = perturbed - images
        if self.norm is Norm.L2:
            return _length(change)
        change = change.flatten(1).abs()
        return (change.amax(dim=1) if change.shape[1] else change.sum(dim=1)).double()

    def settled(self, perturbed: Tensor, images: Tensor) -> Tensor:
        """What counts of an answer: a point of ball and box with such pixels.

        With `PixelValues.FLOAT` that is `project`. With `PixelValues.EIGHT_BIT` and L-infinity it
        is the nearest whole 255th that lies in ball and box; of two that are equally near, the even
        one. Clean images are whole 255ths, so the grid's ball has the radius `floor(255 eps) /
        255`: of an eps below 1/255 nothing is left. In L2 the point is projected first; where the
        nearest whole 255ths lie outside of the ball, every pixel of the image is rounded towards
        its clean value instead. Levels are counted exactly, and the values are those of a uint8
        image divided by 255, to the bit.

        Args:
            perturbed: any tensor like `images`.
            images: the clean images in `[0, 1]`; whole 255ths where the answer is to have such.
        """
        if self.pixels is PixelValues.FLOAT:
            return self.project(perturbed, images)
        # Counted in whole levels, in double: no rounding of float32 decides between two of them.
        clean = (images.double() * LEVELS).round()
        if self.norm is Norm.L2:
            return self._levels_l2(perturbed, clean).to(images.dtype).div_(LEVELS)
        steps = math.floor(self.eps.fraction * LEVELS)
        nearest = (perturbed.double() * LEVELS).round()
        levels = torch.clamp(nearest, clean - steps, clean + steps).clamp(0, LEVELS)
        return levels.to(images.dtype).div_(LEVELS)

    def _levels_l2(self, perturbed: Tensor, clean: Tensor) -> Tensor:
        """Whole levels near to a point, in ball and box.

        Args:
            perturbed: any tensor like `clean`, in `[0, 1]` pixels.
            clean: levels of the clean images, float64 (B, C, H, W).
        """
        change = perturbed.double() * LEVELS - clean
        # Below the radius by more than doubles round, so that rounding towards the clean value
        # ends in the ball.
        longest = self.radius * LEVELS * (1 - 2.0**-40)
        share = (longest / _length(change).clamp(min=1e-300)).clamp(max=1.0)
        change *= per_image(share, clean)
        inside = (clean + change).clamp(0, LEVELS)
        nearest = inside.round()
        # The squares are whole numbers, and so is the largest sum of them that the ball holds.
        most = math.floor((self.eps.fraction * LEVELS) ** 2)
        outside = (nearest - clean).square().flatten(1).sum(dim=1) > most
        return torch.where(per_image(outside, clean), clean + (inside - clean).trunc(), nearest)

    def bounds(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The least and the largest value of every pixel in ball and box, like `images`."""
        return (images - self.radius).clamp(min=0.0), (images + self.radius).clamp(max=1.0)


def _length(change: Tensor) -> Tensor:
    """The Euclidean length of each image's change, float64 (B,): no order of the sum is seen."""
    length: Tensor = torch.linalg.vector_norm(change.flatten(1), dim=1, dtype=torch.float64)
    return length
