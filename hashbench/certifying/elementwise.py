"""Functions of each entry by itself: those that never fall, and those with known turns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import torch
from torch import Tensor

from hashbench.certifying.arithmetic import Arithmetic
from hashbench.certifying.box import Box
from hashbench.errors import UncertifiableError

Function = Callable[[Tensor], Tensor]

GELU_TURN: Final = -0.7517915246935645
GELU_TANH_TURN: Final = -0.7524614220710163
SILU_TURN: Final = -1.2784645427610738
MISH_TURN: Final = -1.1924312145154372
HARDSWISH_TURN: Final = -1.5
"""Where these functions stop falling and begin to rise: the zero of the derivative."""


def turning(box: Box, function: Function, *turns: float) -> Box:
    """Bounds of a function that only turns where it is said: exact for each entry.

    Between two turns it rises or falls, so its extremes over an interval lie at the ends or at
    those turns that the interval holds.

    Args:
        box: its arguments.
        function: continuous, entry by entry.
        turns: where it may turn.
    """
    values = [function(box.lower), function(box.upper)]
    values += [function(torch.clamp(box.lower, min=turn).minimum(box.upper)) for turn in turns]
    lower, upper = values[0], values[0]
    for value in values[1:]:
        lower, upper = torch.minimum(lower, value), torch.maximum(upper, value)
    return Box(lower, upper)


def softplus(arithmetic: Arithmetic, box: Box, beta: float, threshold: float) -> Box:
    """Torch's softplus, `log(1 + exp(beta x)) / beta`, and `x` where `beta x > threshold`.

    At the threshold it drops a little, from the formula to x.

    Raises:
        UncertifiableError: beta is not above 0.
    """
    if not beta > 0:
        raise UncertifiableError(f"of softplus with beta {beta:g} no bounds are known")
    place = threshold / beta

    def function(entries: Tensor) -> Tensor:
        return torch.nn.functional.softplus(entries, beta, threshold)

    ends = box.each(function)
    top = function(torch.clamp(box.lower, min=place).minimum(box.upper))
    before = function(box.upper.clamp(max=place))
    within = (box.lower <= place) & (box.upper > place)
    lower = torch.where(within, ends.lower.clamp(max=place), ends.lower)
    upper = torch.where(within, torch.maximum(torch.maximum(ends.upper, top), before), ends.upper)
    return arithmetic.smooth(Box(lower, upper))


def sum_of(arithmetic: Arithmetic, first: Box, second: Box) -> Box:
    """Of two boxes, or of one and a constant as a box without width."""
    one, other = (first, second) if first.ball is not None else (second, first)
    ball = one.ball and one.ball.plus(other.center, other.radius)
    found = Box(torch.add(first.lower, second.lower), torch.add(first.upper, second.upper), ball)
    return arithmetic.rounded(found)


def difference_of(arithmetic: Arithmetic, first: Box, second: Box) -> Box:
    """`first - second`."""
    return sum_of(arithmetic, first, negative(second))


def negative(box: Box) -> Box:
    """`-box`."""
    return Box(-box.upper, -box.lower, box.ball and box.ball.scaled(-1.0))


def times(arithmetic: Arithmetic, box: Box, factor: Tensor | float) -> Box:
    """A box times a constant of any sign."""
    ends = box.lower * factor, box.upper * factor
    ball = box.ball and box.ball.scaled(factor)
    return arithmetic.rounded(Box(torch.minimum(*ends), torch.maximum(*ends), ball), 3)


def over(arithmetic: Arithmetic, box: Box, divisor: Tensor | float) -> Box:
    """A box over a constant of any sign; by 0 it is NaN or infinite, which no proof survives."""
    ends = box.lower / divisor, box.upper / divisor
    ball = box.ball and box.ball.scaled(1 / divisor)
    return arithmetic.rounded(Box(torch.minimum(*ends), torch.maximum(*ends), ball), 3)


def product_of(arithmetic: Arithmetic, first: Box, second: Box) -> Box:
    """Of two boxes, entry by entry: extremes lie at two ends."""
    ends = [
        one * other for one in (first.lower, first.upper) for other in (second.lower, second.upper)
    ]
    lower, upper = ends[0], ends[0]
    for end in ends[1:]:
        lower, upper = torch.minimum(lower, end), torch.maximum(upper, end)
    return arithmetic.rounded(Box(lower, upper))
