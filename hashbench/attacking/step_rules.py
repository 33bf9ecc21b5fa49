"""The rules by which iterative attacks find their direction, and how their steps shrink."""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import StrEnum

import torch
from torch import Tensor

from hashbench.attacking.ball import drawn_inside, unit_length
from hashbench.attacking.descent import BatchLoss, Direction, gradient_of
from hashbench.attacking.randomness import QueryRandom
from hashbench.eps import Norm


class StepRule(StrEnum):
    """What a step goes against. `x` is the point, `J` the loss, which is minimised.

    L-infinity takes its sign, as the papers do; L2 goes straight down it.
    """

    BIM = "bim"
    """The gradient at `x` (Kurakin et al., ICLR workshop 2017; from a random start it is PGD)."""

    MI = "mi"
    """Momentum (Dong et al., CVPR 2018): see `Momentum`."""

    NI = "ni"
    """Nesterov momentum (Lin et al., ICLR 2020): see `Momentum`, with the look-ahead."""

    SI_NI = "si-ni"
    """NI, each gradient averaged over scaled copies (Lin et al., ICLR 2020): `ScaledCopies`."""

    VMI = "vmi"
    """MI, each gradient tuned by its variance (Wang and He, CVPR 2021): `VarianceTuning`."""

    DI = "di"
    """BIM, each image resized and padded at random (Xie et al., CVPR 2019): `InputDiversity`."""

    @property
    def has_momentum(self) -> bool:
        """Whether gradients are accumulated."""
        return self not in (StepRule.BIM, StepRule.DI)


class StepSchedule(StrEnum):
    """How the size of a step changes over an attack."""

    CONSTANT = "constant"
    """The same in every step."""

    COSINE = "cosine"
    """From the full size towards 0: times `(1 + cos(pi t / T)) / 2` in step t of T, from 0."""

    def sizes(self, first: float, steps: int) -> tuple[float, ...]:
        """The size of every step.

        Args:
            first: size of the first, in `[0, 1]` pixels.
            steps: T.
        """
        if self is StepSchedule.CONSTANT:
            return (first,) * steps
        return tuple(first * (1 + math.cos(math.pi * step / steps)) / 2 for step in range(steps))

    def total(self, first: float, steps: int) -> float:
        """What the sizes of all steps add up to; the cosines of steps t and T - t cancel.

        Args:
            first: size of the first, in `[0, 1]` pixels.
            steps: T.
        """
        if self is StepSchedule.CONSTANT or steps == 0:
            return first * steps
        return first * (steps + 1) / 2


class Momentum:
    """Accumulated gradients, `g = decay * g + grad / mean|grad|`, the mean over each image's own.

    The papers divide by the sum `||grad||_1`; their authors' programs, like SAAT's, by the mean,
    which brings a gradient to the order of 1. The sign of g is the same; only the look-ahead
    depends on it. A gradient that is 0 everywhere adds nothing.

    With look-ahead sizes a, the gradient is that at `x - a * decay * g`, where the next step would
    lead (Nesterov; a minus, since the loss is minimised). As published it is not projected, and
    with decay 1 it grows with the steps: 10, as published, keep it near the ball, 100 do not.

    In L2, gradients are divided by their Euclidean lengths, and a is the length of a step.
    """

    def __init__(
        self,
        inner: Direction,
        decay: float,
        look_ahead: Sequence[float] | None = None,
        *,
        norm: Norm = Norm.LINF,
    ) -> None:
        """Start with nothing accumulated.

        Args:
            inner: gives the gradients.
            decay: mu; 0 forgets, 1 keeps all.
            look_ahead: the size of every step, for Nesterov's gradient; `None` for the point's own.
            norm: of the ball.
        """
        self._inner = inner
        self._unit = unit_mean if norm is Norm.LINF else unit_length
        self._decay = decay
        self._look_ahead = look_ahead
        self._sum: Tensor | None = None

    def __call__(self, loss: BatchLoss, point: Tensor, step: int) -> Tensor:
        """Return g."""
        if self._sum is None:
            self._sum = torch.zeros_like(point)
        kept = self._decay * self._sum
        where = point if self._look_ahead is None else point - self._look_ahead[step] * kept
        self._sum = kept + self._unit(self._inner(loss, where, step))
        return self._sum


class ScaledCopies:
    """The mean over i < copies of the gradients, with respect to x, of `J(x / 2^i)`.

    As in the authors' program, each copy's gradient has the factor `1 / 2^i` of the chain rule.
    SAAT's program leaves that factor out, and divides again what it divided before, by 1, 2, 8, ...
    """

    def __init__(self, copies: int) -> None:
        """Average over `copies`, 1 or more; a pass each."""
        self._copies = copies

    def __call__(self, loss: BatchLoss, point: Tensor, step: int) -> Tensor:
        """Return the mean gradient."""
        total = torch.zeros_like(point)
        for copy in range(self._copies):
            total += gradient_of(_scaled(loss, 0.5**copy), point, step)
        return total / self._copies


class VarianceTuning:
    """The gradient plus the last point's variance `v = mean_i grad J(x + r_i) - grad J(x)`.

    `r_i` is uniform in a ball around x, not projected; v is 0 in the first step.
    """

    def __init__(
        self, samples: int, reach: float, rng: QueryRandom, *, norm: Norm = Norm.LINF
    ) -> None:
        """Start with no variance.

        Args:
            samples: N, 1 or more; a pass each, besides the gradient's own.
            reach: radius of the ball that is sampled, in `[0, 1]` pixels.
            rng: one stream per query.
            norm: of that ball.
        """
        self._norm = norm
        self._samples = samples
        self._reach = reach
        self._rng = rng
        self._variance: Tensor | None = None

    def __call__(self, loss: BatchLoss, point: Tensor, step: int) -> Tensor:
        """Return the tuned gradient."""
        gradient = gradient_of(loss, point, step)
        tuned = gradient if self._variance is None else gradient + self._variance
        total = torch.zeros_like(point)
        for _ in range(self._samples):
            offset = drawn_inside(self._norm, self._reach, point.shape[1:], self._rng)
            total += gradient_of(loss, point + offset, step)
        self._variance = total / self._samples - gradient
        return tuned


def unit_mean(gradient: Tensor) -> Tensor:
    """Each image's gradient over the mean of its absolute values; 0 where all are 0.

    Summed in float64, so that the order of the sum, which depends on the batch, leaves no trace.
    """
    means = gradient.abs().mean(dim=(1, 2, 3), keepdim=True, dtype=torch.float64)
    tiny = torch.finfo(gradient.dtype).tiny
    return gradient / means.to(gradient.dtype).clamp(min=tiny)


def _scaled(loss: BatchLoss, factor: float) -> BatchLoss:
    return lambda point, step: loss(factor * point, step)
