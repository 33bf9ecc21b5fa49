"""Projected gradient descent on images: the one loop that all gradient attacks share."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import repeat
from typing import Protocol

import torch
from torch import Tensor

from hashbench.attacking.ball import unit_length
from hashbench.attacking.threat import Threat
from hashbench.eps import Norm
from hashbench.errors import UsageError

BatchLoss = Callable[[Tensor, int], Tensor]
"""(images (B, C, H, W), step) -> one loss per image, (B,)."""


class Direction(Protocol):
    """Finds what the point is moved against; may keep state over the steps of one run.

    The gradient at the point, or what is made of several gradients there and nearby.
    """

    def __call__(self, loss: BatchLoss, point: Tensor, step: int) -> Tensor:
        """Return a tensor like `point`, which carries no gradient."""


def gradient_of(loss: BatchLoss, point: Tensor, step: int) -> Tensor:
    """The loss's gradient at the point: the plain direction, one pass forward and one back.

    The losses of a batch are summed, never averaged, so an image's gradient is the same in a batch
    of 1 as in a batch of 500.
    """
    point = point.detach().requires_grad_(True)
    (gradient,) = torch.autograd.grad(loss(point, step).sum(), point)
    return gradient


class Update(Protocol):
    """Moves the point against the gradient; may keep state over the steps of one run."""

    def __call__(self, point: Tensor, gradient: Tensor) -> Tensor:
        """Return the new point; the loop projects it."""


class SignStep:
    """`x - size * sign(g)`: every pixel moves by the same amount (Madry et al., 2018)."""

    def __init__(self, size: float | Sequence[float]) -> None:
        """Take steps of `size`, in `[0, 1]` pixels, or of one size after the other."""
        self._sizes = repeat(size) if isinstance(size, int | float) else iter(size)

    def __call__(self, point: Tensor, gradient: Tensor) -> Tensor:
        """Return the moved point."""
        # In place for the sake of memory; to the bit what `point - size * gradient.sign()` gives.
        return gradient.sign().mul_(-next(self._sizes)).add_(point)


class L2Step:
    """`x - length * g / ||g||_2`: every image moves as far, straight down its own gradient.

    An image whose gradient is 0, or of which a value is no finite number, stays.
    """

    def __init__(self, length: float | Sequence[float]) -> None:
        """Take steps of a `length`, in `[0, 1]` pixels, or of one length after the other."""
        self._lengths = repeat(length) if isinstance(length, int | float) else iter(length)

    def __call__(self, point: Tensor, gradient: Tensor) -> Tensor:
        """Return the moved point."""
        return unit_length(gradient).mul_(-next(self._lengths)).add_(point)


def steepest_step(norm: Norm, size: float | Sequence[float]) -> Update:
    """The step that lowers a linear loss most among all of its size in a norm.

    Args:
        norm: of the ball: `SignStep` for L-infinity, `L2Step` for L2.
        size: of the steps in that norm, in `[0, 1]` pixels, or one after the other.
    """
    return SignStep(size) if norm is Norm.LINF else L2Step(size)


class MomentumStep:
    """Gradient descent with heavy-ball momentum on the raw gradient, as `torch.optim.SGD`."""

    def __init__(self, rate: float, momentum: float) -> None:
        """Start with an empty buffer."""
        self.rate = rate
        self.momentum = momentum
        self._buffer: Tensor | None = None

    def __call__(self, point: Tensor, gradient: Tensor) -> Tensor:
        """Return the moved point."""
        if self._buffer is None:
            self._buffer = gradient.clone()
        else:
            self._buffer = self.momentum * self._buffer + gradient
        return point - self.rate * self._buffer


class AdamStep:
    """Adam (Kingma and Ba, 2015) on the pixels, with bias correction."""

    def __init__(self, rate: float, betas: tuple[float, float] = (0.9, 0.999)) -> None:
        """Start with empty moments."""
        self.rate = rate
        self.betas = betas
        self._first: Tensor | None = None
        self._second: Tensor | None = None
        self._count = 0

    def __call__(self, point: Tensor, gradient: Tensor) -> Tensor:
        """Return the moved point."""
        if self._first is None or self._second is None:
            self._first = torch.zeros_like(gradient)
            self._second = torch.zeros_like(gradient)
        self._count += 1
        one, two = self.betas
        self._first = one * self._first + (1 - one) * gradient
        self._second = two * self._second + (1 - two) * gradient.square()
        mean = self._first / (1 - one**self._count)
        spread = (self._second / (1 - two**self._count)).sqrt()
        return point - self.rate * mean / (spread + 1e-8)


def adam_reach(rate: float, steps: int, betas: tuple[float, float] = (0.9, 0.999)) -> float:
    """How far so many steps of `AdamStep` can move a pixel together, whatever the gradients.

    Step t is `rate * sum_i w_i g_i / sqrt(sum_i q_i g_i^2)`, w and q the weights that the decays
    give to the gradients so far, each adding up to 1. By Cauchy and Schwarz that is at most
    `rate * sqrt(sum_i w_i^2 / q_i)`: the rate in the first step, 2.3 times it in the hundredth,
    and 7.3 times it at last.

    Args:
        rate: of Adam.
        steps: number of updates.
        betas: decays of the two moments; the first squared is less than the second.
    """
    one, two = betas
    ratio = one**2 / two
    last = (1 - one) / math.sqrt((1 - two) * (1 - ratio))
    summed = min(steps, 10_000)
    total = 0.0
    for step in range(1, summed + 1):
        total += last * math.sqrt((1 - two**step) * (1 - ratio**step)) / (1 - one**step)
    return rate * (total + (steps - summed) * last)


def descend(
    loss: BatchLoss,
    images: Tensor,
    threat: Threat,
    *,
    steps: int,
    update: Update,
    direction: Direction = gradient_of,
    start: Tensor | None = None,
) -> Tensor:
    """Minimise a loss over the ball around each image.

    Args:
        loss: gives one loss per image; called as often in a step as `direction` asks, once by
            default.
        images: the clean images (B, C, H, W) in `[0, 1]`.
        threat: the ball.
        steps: number of updates; 0 returns the projected start.
        update: how a direction moves a point; made afresh for each call of `descend`.
        direction: what the point is moved against; one that keeps state is made afresh too.
        start: where to begin, any tensor like `images`; the clean images by default.

    Returns:
        The point after the last update: like `images`, in the ball and the box, detached. A pixel
        that an update makes NaN, at a model that gives NaN, stays where it was; in L2, where each
        pixel counts for all others, its whole image does.
    """
    inside = threat.projection(images)
    point = inside(images if start is None else start).detach()
    del images, start  # large, and from here on only their owner's
    for step in range(steps):
        # Few tensors at a time: no name of this step's is left for the next, and none is copied.
        point = _unless_nan(inside(update(point, direction(loss, point, step))), point)
    return point


@torch.no_grad()
def _unless_nan(moved: Tensor, point: Tensor) -> Tensor:
    """What has moved, but for pixels that would be NaN; written into `moved`."""
    return torch.where(moved.isnan(), point, moved, out=moved)


def check_descent(steps: int, **sizes: float) -> None:
    """Refuse what no descent can be: `check_descent(self.steps, step_size=self.step_size)`.

    Args:
        steps: number of updates, 0 or more.
        sizes: the sizes of a step by their parameters' names, each above 0.

    Raises:
        UsageError: naming the parameter and its value.
    """
    if steps < 0:
        raise UsageError(f"steps must be 0 or more, found {steps}")
    for name, size in sizes.items():
        if not size > 0:  # written so that NaN is refused too
            raise UsageError(f"{name} must be above 0, found {size}")
