"""The quantile function of the normal distribution, with the same bits on every device.

Wichura's AS 241 (Applied Statistics 37, 1988), PPND16: quotients of polynomials. A library's
logarithm may differ from device to device by a last bit, so the one in the tails is a series here.
All is float64 and made of `+`, `-`, `*`, `/` and square roots, which IEEE 754 rounds in one way;
each is an operation of tensors by itself, so that no compiler joins a product and a sum. A quotient
has tensors above and below: torch multiplies by the reciprocal of a plain number on a GPU.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor


@dataclass(frozen=True)
class _Quotient:
    """Of two polynomials, the coefficients from the highest power down."""

    above: Sequence[float]
    below: Sequence[float]

    def __call__(self, point: Tensor) -> Tensor:
        return _polynomial(point, self.above).div_(_polynomial(point, self.below))


_CENTER: Final = _Quotient(
    above=(
        2.5090809287301226727e3,
        3.3430575583588128105e4,
        6.7265770927008700853e4,
        4.5921953931549871457e4,
        1.3731693765509461125e4,
        1.9715909503065514427e3,
        1.3314166789178437745e2,
        3.3871328727963666080,
    ),
    below=(
        5.2264952788528545610e3,
        2.8729085735721942674e4,
        3.9307895800092710610e4,
        2.1213794301586595867e4,
        5.3941960214247511077e3,
        6.8718700749205790830e2,
        4.2313330701600911252e1,
        1.0,
    ),
)
_NEAR: Final = _Quotient(
    above=(
        7.74545014278341407640e-4,
        2.27238449892691845833e-2,
        2.41780725177450611770e-1,
        1.27045825245236838258,
        3.64784832476320460504,
        5.76949722146069140550,
        4.63033784615654529590,
        1.42343711074968357734,
    ),
    below=(
        1.05075007164441684324e-9,
        5.47593808499534494600e-4,
        1.51986665636164571966e-2,
        1.48103976427480074590e-1,
        6.89767334985100004550e-1,
        1.67638483018380384940,
        2.05319162663775882187,
        1.0,
    ),
)
_FAR: Final = _Quotient(
    above=(
        2.01033439929228813265e-7,
        2.71155556874348757815e-5,
        1.24266094738807843860e-3,
        2.65321895265761230930e-2,
        2.96560571828504891230e-1,
        1.78482653991729133580,
        5.46378491116411436990,
        6.65790464350110377720,
    ),
    below=(
        2.04426310338993978564e-15,
        1.42151175831644588870e-7,
        1.84631831751005468180e-5,
        7.86869131145613259100e-4,
        1.48753612908506148525e-2,
        1.36929880922735805310e-1,
        5.99832206555887937690e-1,
        1.0,
    ),
)
_INNER: Final = 0.425
"""Up to this far from the middle the first quotient serves; beyond lie the tails."""

_SERIES: Final = tuple(1 / (2 * power + 1) for power in range(11, -1, -1))
"""Of `atanh(s) / s` in s^2: with |s| at most 0.172 what follows is below 1e-19."""


def normal_quantile(centered: Tensor) -> Tensor:
    """Where the normal distribution function is `0.5 + centered`.

    Args:
        centered: float64 between -0.5 and 0.5, these two excluded, a tensor without a gradient.

    Returns:
        float64; in error by some 1e-15 of the value.
    """
    found = _center(centered)
    if centered.device.type == "cpu":
        outer = centered.abs() > _INNER
        found[outer] = _tail(centered[outer])
        return found
    # To pick out the few in the tails a GPU would have to be waited for.
    return torch.where(centered.abs() > _INNER, _tail(centered), found)


def _center(centered: Tensor) -> Tensor:
    return _CENTER(-(centered * centered) + _INNER**2).mul_(centered)


def _tail(centered: Tensor) -> Tensor:
    depth = (-_log(0.5 - centered.abs())).sqrt_()
    size = torch.where(depth > 5, _FAR(depth - 5), _NEAR(depth - 1.6))
    return torch.where(centered < 0, -size, size)


def _log(values: Tensor) -> Tensor:
    """The natural logarithm of float64 numbers above 0, in error by some 2e-16 of it below 0.1.

    `m * 2^e`, m within sqrt(2) of 1, has the logarithm `e log 2 + 2 atanh((m - 1) / (m + 1))`.
    """
    mantissa, exponent = torch.frexp(values)
    small = mantissa < math.sqrt(0.5)
    mantissa = torch.where(small, mantissa * 2, mantissa)
    exponent = exponent.double() - small.double()
    ratio = (mantissa - 1).div_(mantissa + 1)
    series = _polynomial(ratio * ratio, _SERIES).mul_(ratio * 2)
    return exponent.mul_(math.log(2)).add_(series)


def _polynomial(point: Tensor, coefficients: Sequence[float]) -> Tensor:
    """By Horner's rule, from the highest power down."""
    value = torch.full_like(point, coefficients[0])
    for coefficient in coefficients[1:]:
        value.mul_(point).add_(coefficient)
    return value
