"""The radius of an attack: kept as it was written and as an exact fraction. Needs no torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from typing_extensions import override

from hashbench.characters import shortened
from hashbench.errors import UsageError
from hashbench.exact import exact


@dataclass(frozen=True, order=True)
class Eps:
    """An L-infinity radius in `[0, 1]` pixels.

    Two radii are equal when their fractions are: `8/255` and `16/510` are one threat, `8/255` and
    `0.031` are two. `float(eps)` is the nearest double, and so is what products are made with:
    `threat.eps * gradient.sign()` works.

    Examples:
        >>> str(Eps.parse("16/510")), Eps.parse("16/510") == Eps.parse("8/255")
        ('16/510', True)
        >>> Eps.parse("0.031") == Eps.parse("8/255")
        False
        >>> Eps.parse(8 / 255).fraction
        Fraction(8, 255)
    """

    fraction: Fraction
    text: str = field(compare=False)

    @classmethod
    def parse(cls, written: object) -> Eps:
        """Read `8/255`, `0.031` or a number.

        A float that is the double of a whole number of 255ths, and not a shorter decimal of the
        same value, is that fraction: `8 / 255` in Python is `8/255` here.

        Raises:
            UsageError: it is no number, or lies outside `[0, 1]`.
        """
        if isinstance(written, Eps):
            return written
        text = _of_255(written) or str(written).replace(" ", "")
        try:
            fraction = exact(text)
        except (ValueError, ZeroDivisionError):
            raise UsageError(
                f"eps is '{shortened(str(written))}', but must be a fraction such as 8/255 "
                "or a number from 0 to 1"
            ) from None
        if not 0 <= fraction <= 1:
            raise UsageError(
                f"eps is {shortened(text)}, but must lie from 0 to 1: pixels are in [0, 1], "
                "so the literature's 8 is written 8/255"
            )
        return cls(fraction=fraction, text=text)

    @property
    def canonical(self) -> str:
        """One spelling per value, for keys: the fraction in lowest terms."""
        return str(self.fraction)

    def __mul__(self, other: Any) -> Any:
        return float(self) * other

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Any:
        return float(self) / other

    def __neg__(self) -> float:
        return -float(self)

    def __float__(self) -> float:
        return float(self.fraction)

    @override
    def __str__(self) -> str:
        return self.text


def _of_255(written: object) -> str:
    """The fraction that a float was computed from; empty where it was none."""
    if not isinstance(written, float) or not 0 < written < 1:
        return ""
    whole = round(written * 255)
    if whole / 255 != written or Fraction(str(float(written))) == Fraction(whole, 255):
        return ""
    return f"{whole}/255"
