"""Sums of products: linear layers, convolutions, batch norm, means."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from hashbench.certifying.arithmetic import Arithmetic
from hashbench.certifying.box import Ball, Box

Product = Callable[[Tensor, Tensor, Tensor | None], Tensor]
"""What an input, a weight and a bias give: `F.linear`, say."""


def product(
    arithmetic: Arithmetic, apply: Product, box: Box, weight: Tensor, bias: Tensor | None
) -> Box:
    """Bounds of `W x + b`, exact for each entry: `W c + b` and `|W| r` of center and radius.

    Where x comes from an L2 ball, a row w moves by `|w| r` at most, its length times the radius
    (Cauchy and Schwarz), with each of its weights times the share of its entry. What comes out
    depends on many pixel values, and is a box alone.

    Source: Gowal et al., On the Effectiveness of Interval Bound Propagation, 2018,
    https://arxiv.org/abs/1810.12715, equation 6.
    """
    weight = arithmetic.constant(weight)
    bias = None if bias is None else arithmetic.constant(bias)
    absolute = weight.abs()
    center = apply(box.center, weight, bias)
    radius = apply(box.radius, absolute, None)
    found = Box.around(center, radius)
    if box.ball is not None:
        found = found.within(_from_ball(apply, box.ball, weight, bias))
    if not arithmetic.unit:
        return found
    size = apply(box.magnitude, absolute, None if bias is None else bias.abs())
    return arithmetic.rounded(found, weight[0].numel() + 2, size)


def _from_ball(apply: Product, ball: Ball, weight: Tensor, bias: Tensor | None) -> Box:
    """Bounds of `W x + b`: a row's entries are distinct, so that its squares add up."""
    squares = apply(ball.share.square(), weight.square(), None)
    # Not 0: a root has no slope there.
    length = squares.clamp(min=torch.finfo(squares.dtype).tiny).sqrt()
    radius = length + apply(ball.room, weight.abs(), None)
    return Box.around(apply(ball.center, weight, bias), radius)


def scaled(arithmetic: Arithmetic, box: Box, scale: Tensor, shift: Tensor, operations: int) -> Box:
    """Bounds of `scale * x + shift`, entry by entry; all in the floats of the bounds."""
    center = box.center * scale + shift
    found = Box.around(center, box.radius * scale.abs())
    ball = box.ball and box.ball.scaled(scale).plus(shift, torch.zeros_like(shift))
    found = Box(found.lower, found.upper, ball)
    return arithmetic.rounded(found, operations, box.magnitude * scale.abs() + shift.abs())


def normalized(
    arithmetic: Arithmetic,
    box: Box,
    mean: Tensor,
    variance: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    eps: float,
) -> Box:
    """Batch norm with fixed statistics, `(x - mean) / sqrt(variance + eps) * weight + bias`.

    Args:
        arithmetic: of the bounds.
        box: (B, C, ...).
        mean: (C,), of the training.
        variance: (C,), of the training.
        weight: (C,), or none for 1.
        bias: (C,), or none for 0.
        eps: added to the variance.
    """
    scale = torch.rsqrt(arithmetic.constant(variance) + eps)
    if weight is not None:
        scale = scale * arithmetic.constant(weight)
    shift = -arithmetic.constant(mean) * scale
    absolute = shift.abs()
    if bias is not None:
        shift = shift + arithmetic.constant(bias)
        absolute = absolute + arithmetic.constant(bias).abs()
    shape = (1, -1, *(1,) * (box.lower.ndim - 2))
    exact = Arithmetic(arithmetic.dtype)
    found = scaled(exact, box, scale.view(shape), shift.view(shape), 0)
    if not arithmetic.unit:
        return found
    size = box.magnitude * scale.abs().view(shape) + absolute.view(shape)
    # Of the scale: a sum, a root, a division, a product. Then two products and two sums.
    return arithmetic.rounded(found, 10, size)


def averaged(arithmetic: Arithmetic, box: Box, mean: Callable[[Tensor], Tensor], terms: int) -> Box:
    """Means, or sums, of at most so many entries each."""
    found = box.each(mean)
    if not arithmetic.unit:
        return found
    return arithmetic.rounded(found, terms + 2, mean(box.magnitude))


def convolution(dimensions: int) -> Callable[..., Tensor]:
    """Torch's convolution over so many dimensions of space."""
    return {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}[dimensions]
