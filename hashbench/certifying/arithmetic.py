"""In which floats bounds are computed, and what room they leave for the model's own rounding."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from hashbench.certifying.box import Box

FLOAT32_UNIT = 2.0**-24 * (1 + 2.0**-20)
"""The unit roundoff of float32, and a millionth of it for that of the bounds, which are float64."""

FLOAT64_UNIT = 2.0**-51
"""Four times that of float64: for a model in float64, whose bounds round as much as it does."""

_TINY = 1e-36
"""More than a sum of products loses where they are too small for a float32 (2^-126 each)."""

_FUNCTION = 16
"""Roundings that one tanh, exp or the like stands for: libraries promise up to 4 of 2^-23."""


@dataclass(frozen=True)
class Arithmetic:
    """The floats of bounds.

    Attributes:
        dtype: in which they are computed.
        unit: the unit roundoff u of the model's own floats. Bounds then hold for what the model
            computes, in whatever order it adds: a sum of n products lies within
            `n u / (1 - n u) * sum |w x|` of the exact one (Higham, Accuracy and Stability of
            Numerical Algorithms, 2002, section 3.1). At 0 they hold for exact arithmetic.
    """

    dtype: torch.dtype
    unit: float = 0.0

    def constant(self, tensor: Tensor) -> Tensor:
        """A tensor of the model in these floats; indices and masks as they are."""
        return tensor.to(self.dtype) if tensor.is_floating_point() else tensor

    def room(self, size: Tensor, operations: int) -> Tensor:
        """How far a result may lie from the exact one.

        Args:
            size: the sum of the absolute values of what is added.
            operations: roundings that a term goes through at most.
        """
        share = operations * self.unit / (1 - operations * self.unit)
        return share * size + _TINY

    def rounded(self, box: Box, operations: int = 1, size: Tensor | None = None) -> Box:
        """A box and the room for rounding; `size` is the largest absolute value by default."""
        if not self.unit:
            return box
        room = self.room(box.magnitude if size is None else size, operations)
        ball = box.ball and box.ball.wider(room)
        return Box(torch.sub(box.lower, room), torch.add(box.upper, room), ball)

    def cast(self, box: Box, dtype: torch.dtype) -> Box:
        """A box that the model casts to float32 or float64; the bounds keep their own floats."""
        if self.unit and dtype == torch.float32:
            return Arithmetic(self.dtype, max(self.unit, FLOAT32_UNIT)).rounded(box)
        return box

    def smooth(self, box: Box) -> Box:
        """The results of a function such as tanh, right to `_FUNCTION` units of 1 + |result|."""
        return self.rounded(box, _FUNCTION, box.magnitude + 1) if self.unit else box
