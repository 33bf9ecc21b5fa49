"""Balls of both norms: points drawn in them and at their edge, and directions of length 1."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from hashbench.attacking.randomness import QueryRandom
from hashbench.eps import Norm


def drawn_inside(norm: Norm, radius: float, shape: Sequence[int], rng: QueryRandom) -> Tensor:
    """Points of a ball around 0, all equally likely: where a random start lies beside its image.

    Args:
        norm: of the ball.
        radius: of the ball.
        shape: of one point.
        rng: one stream per point. L-infinity takes one call of it, L2 two.

    Returns:
        float32 (B, *shape).
    """
    if norm is Norm.LINF:
        return rng.uniform(shape, -radius, radius)
    return placed_inside(rng.normal(shape), rng.uniform(()), radius)


def placed_inside(normal: Tensor, uniform: Tensor, radius: float) -> Tensor:
    """Points of an L2 ball around 0, all equally likely, made of numbers that were drawn already.

    A Gaussian point has every direction alike. Of d values, the share `t^d` of the ball lies nearer
    than t radii, so `u^(1/d)` radii is how far a point is away.

    Args:
        normal: standard normal numbers, (B, C, H, W).
        uniform: uniform numbers in `[0, 1)`, (B,).
        radius: of the ball.
    """
    away = radius * uniform.double() ** (1 / max(1, normal[:1].numel()))
    return unit_length(normal) * per_image(away, normal).to(normal.dtype)


def drawn_at_edge(norm: Norm, radius: float, shape: Sequence[int], rng: QueryRandom) -> Tensor:
    """Corners of an L-infinity ball around 0, or points of the sphere; all equally likely.

    Args:
        norm: of the ball.
        radius: of the ball.
        shape: of one point.
        rng: one stream per point.

    Returns:
        float32 (B, *shape).
    """
    if norm is Norm.LINF:
        return radius * torch.where(rng.uniform(shape) < 0.5, -1.0, 1.0)
    return radius * unit_length(rng.normal(shape))


def unit_length(gradient: Tensor) -> Tensor:
    """Each image's gradient over its Euclidean length; 0 where all of it is 0.

    Divided by the largest value first, so that no square is too small or too large for a float;
    then summed in float64, so that the order of the sum, which depends on the batch, leaves no
    trace. An image of which a value is infinite or not a number gets 0, as one without a gradient.
    """
    flat = gradient.flatten(1)
    largest = torch.linalg.vector_norm(flat, ord=torch.inf, dim=1)
    found = gradient / per_image(torch.where(largest > 0, largest, 1.0), gradient)
    lengths = torch.linalg.vector_norm(found.flatten(1), dim=1, dtype=torch.float64)
    # 1 or more, unless everything is 0.
    divisor = per_image(lengths.clamp(min=1.0), gradient).to(gradient.dtype)
    return found.div_(divisor).nan_to_num_(0.0)


def per_image(values: Tensor, images: Tensor) -> Tensor:
    """Values of (B,) that meet images of (B, C, H, W)."""
    return values.view(-1, *[1] * (images.dim() - 1))
