"""A box: a least and a largest value for each entry of a tensor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from hashbench.attacking.threat import Threat
from hashbench.eps import Eps


@dataclass(frozen=True)
class Box:
    """All tensors between two, entry by entry.

    Attributes:
        lower, upper: of one shape; `lower <= upper` everywhere.
    """

    lower: Tensor
    upper: Tensor

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


def image_box(images: Tensor, eps: Eps) -> Box:
    """The L-infinity ball around each image, cut with `[0, 1]`.

    Args:
        images: (B, C, H, W) in `[0, 1]`.
        eps: the ball's radius.
    """
    return Box(*Threat(eps).bounds(images))
