"""A box: a least and a largest value for each entry of a tensor."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

import torch
from torch import Tensor

from hashbench.attacking.answer import outermost
from hashbench.attacking.threat import Threat
from hashbench.eps import Eps, Norm

_STEP: Final = 2.0**-24
"""More than rounding to float32 takes from the ends of a box in `[0, 1]`."""


@dataclass(frozen=True)
class Ball:
    """What an L2 ball of images has become, as long as each entry depends on one pixel value.

    Entry i is `center_i + share_i * d_j(i) + e_i`, with `|e_i| <= room_i`. d is the same for all
    entries and of an L2 norm of 1 at most, and no two entries have the same j.

    Attributes:
        center: where the clean image is.
        share: 0 or more: how far an entry moves if the whole radius goes into its pixel value.
        room: 0 or more: how far each entry may lie from there on its own.
    """

    center: Tensor
    share: Tensor
    room: Tensor

    def each(self, function: Callable[[Tensor], Tensor]) -> Ball:
        """With its entries in another order, without some of them, or with zeros between them."""
        return Ball(function(self.center), function(self.share), function(self.room))

    def plus(self, center: Tensor, radius: Tensor) -> Ball:
        """Of the sum with what lies at most `radius` from `center`, entry by entry."""
        moved = self.center + center
        # Where entries are repeated, d is longer: by the root of how often each of them is.
        repeats = moved.numel() / max(1, self.center.numel())
        share = (self.share * math.sqrt(repeats)).expand_as(moved).contiguous()
        return Ball(moved, share, (self.room + radius).expand_as(moved).contiguous())

    def wider(self, room: Tensor) -> Ball:
        """With so much more room, entry by entry."""
        return Ball(self.center, self.share, self.room + room)

    def scaled(self, scale: Tensor | float) -> Ball:
        """Times a constant, of any sign and of each entry its own."""
        size = scale.abs() if isinstance(scale, Tensor) else abs(scale)
        moved = self.center * scale
        repeats = moved.numel() / max(1, self.center.numel())
        return Ball(moved, self.share * size * math.sqrt(repeats), self.room * size)


@dataclass(frozen=True)
class Box:
    """All tensors between two, entry by entry.

    Attributes:
        lower, upper: of one shape; `lower <= upper` everywhere.
        ball: more that is known of the same tensors. A rule that does not know what becomes of it
            leaves it out, which is never wrong.
    """

    lower: Tensor
    upper: Tensor
    ball: Ball | None = None

    @classmethod
    def around(cls, center: Tensor, radius: Tensor) -> Box:
        """All tensors that lie at most `radius` (0 or more) from `center`, entry by entry."""
        # Functions, not operators: `Tensor - Tensor` has no type of its own in torch's stubs.
        return cls(torch.sub(center, radius), torch.add(center, radius))

    @property
    def center(self) -> Tensor:
        """The middle of each entry."""
        return (self.lower + self.upper) / 2

    @property
    def radius(self) -> Tensor:
        """Half of the width of each entry, 0 or more."""
        return (self.upper - self.lower) / 2

    @property
    def magnitude(self) -> Tensor:
        """The largest absolute value that each entry can take."""
        return torch.maximum(self.lower.abs(), self.upper.abs())

    def each(self, function: Callable[[Tensor], Tensor]) -> Box:
        """Both ends under a function that never falls: one that moves or selects entries, say."""
        return Box(function(self.lower), function(self.upper))

    def moved(self, function: Callable[[Tensor], Tensor]) -> Box:
        """With its entries in another order, without some of them, or with zeros between them.

        The ball is kept, so `function` must not give an entry twice.
        """
        return Box(
            function(self.lower), function(self.upper), self.ball and self.ball.each(function)
        )

    def within(self, other: Box) -> Box:
        """What lies in both boxes, of which it is known that they hold a tensor together."""
        lower = torch.maximum(self.lower, other.lower)
        upper = torch.minimum(self.upper, other.upper)
        # Without room for rounding two ends that are equal may cross by it.
        return Box(torch.minimum(lower, upper), torch.maximum(lower, upper))


def image_box(images: Tensor, eps: Eps) -> Box:
    """The ball around each image, cut with `[0, 1]`; of L2, the box around it and the ball.

    A ball of L2 is taken as large as answers of attacks may be far from their images, which is the
    radius and some rounding (`hashbench.attacking.answer.outermost`).

    Args:
        images: (B, C, H, W) in `[0, 1]`.
        eps: the ball's radius.
    """
    if eps.norm is Norm.LINF:
        return Box(*Threat(eps).bounds(images))
    radius = outermost(Threat(eps), images)
    box = pixel_box(images, radius + _STEP)
    # In float64: a radius that is rounded to float32 may be smaller.
    share = torch.full_like(images, radius, dtype=torch.float64)
    return Box(box.lower, box.upper, Ball(images, share, torch.zeros_like(images)))


def pixel_box(images: Tensor, radius: float) -> Box:
    """All images each of whose pixels is at most `radius` away, cut with `[0, 1]`."""
    return Box(*Threat(Eps(fraction=Fraction(radius), text=str(radius))).bounds(images))
