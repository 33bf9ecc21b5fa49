"""The radius of an attack and its norm: as it was written and as an exact fraction. No torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from fractions import Fraction
from functools import total_ordering
from typing import Any, Final

from typing_extensions import override

from hashbench.characters import shortened
from hashbench.errors import UsageError
from hashbench.exact import exact


class Norm(StrEnum):
    """How the distance between two images is measured; the values are stored, so they are codes."""

    LINF = "linf"
    """The largest change of any pixel value."""

    L2 = "l2"
    """The Euclidean distance over all pixel values of an image."""

    @property
    def words(self) -> str:
        """As a sentence names it: `L-infinity`, `L2`."""
        return "L-infinity" if self is Norm.LINF else "L2"


_MOST: Final = {Norm.LINF: 1, Norm.L2: 1000}
"""The largest radius of each norm that is no slip: pixels are in `[0, 1]`, and images of a million
values are 1,000 apart in L2 at most."""


@total_ordering
@dataclass(frozen=True)
class Eps:
    """A radius in `[0, 1]` pixels, of L-infinity unless its text says `l2:`.

    Two radii are equal when their norms and fractions are: `8/255`, `16/510` and `linf:8/255` are
    one threat, `8/255` and `0.031` are two, and so are `0.5` and `l2:0.5`. `float(eps)` is the
    nearest double, and so is what products are made with: `threat.eps * gradient.sign()` works.
    Sorted, those of L-infinity stand first, and of one norm the smaller one; whether a ball lies
    within another one is said by `holds`.

    Attributes:
        norm: of which the radius is.
        fraction: the radius, exactly.
        text: as it was written; of L-infinity without its name.

    Examples:
        >>> str(Eps.parse("16/510")), Eps.parse("16/510") == Eps.parse("8/255")
        ('16/510', True)
        >>> Eps.parse("0.031") == Eps.parse("8/255")
        False
        >>> Eps.parse(8 / 255).fraction
        Fraction(8, 255)
        >>> Eps.parse("l2:0.5").canonical, Eps.parse("linf:8/255").canonical
        ('l2:1/2', '8/255')
    """

    norm: Norm = field(default=Norm.LINF, kw_only=True)
    fraction: Fraction
    text: str = field(compare=False)

    @classmethod
    def parse(cls, written: object) -> Eps:
        """Read `8/255`, `0.031` or a number, for L-infinity; `linf:8/255`; `l2:0.5`.

        A float that is the double of a whole number of 255ths, and not a shorter decimal of the
        same value, is that fraction: `8 / 255` in Python is `8/255` here.

        Raises:
            UsageError: it is no number, its norm is none, or it lies outside of `[0, 1]` (of L2,
                `[0, 1000]`).
        """
        if isinstance(written, Eps):
            return written
        text = _of_255(written) or str(written).replace(" ", "")
        name, colon, number = text.rpartition(":")
        try:
            norm = Norm(name.lower()) if colon else Norm.LINF
        except ValueError:
            raise UsageError(
                f"eps is '{shortened(str(written))}', but the norms are {' and '.join(Norm)}, as "
                "in linf:8/255 (or 8/255) and l2:0.5"
            ) from None
        try:
            fraction = exact(number)
        except (ValueError, ZeroDivisionError):
            wanted = (
                "a fraction such as 8/255 or a number from 0 to 1"
                if norm is Norm.LINF
                else f"a number from 0 to {_MOST[norm]} behind its norm, as in l2:0.5"
            )
            raise UsageError(f"eps is '{shortened(str(written))}', but must be {wanted}") from None
        if not 0 <= fraction <= _MOST[norm]:
            hint = (
                ": pixels are in [0, 1], so the literature's 8 is written 8/255"
                if norm is Norm.LINF
                else ""
            )
            raise UsageError(
                f"eps is {shortened(text)}, but must lie from 0 to {_MOST[norm]}{hint}"
            )
        plain = number if norm is Norm.LINF else f"{norm}:{number}"
        return cls(norm=norm, fraction=fraction, text=plain)

    def holds(self, other: Eps) -> bool:
        """Whether every point of another ball is one of this ball, whatever the images.

        The Euclidean length of a change is never below its largest value, so an L2 ball lies in the
        L-infinity ball of the same radius. How large an L2 ball has to be for an L-infinity ball
        depends on how many pixels there are: that is not asked here, and the answer is no, unless
        its radius is 0.

        Examples:
            >>> Eps.parse("8/255").holds(Eps.parse("4/255"))
            True
            >>> Eps.parse("0.5").holds(Eps.parse("l2:0.5"))
            True
            >>> Eps.parse("l2:0.5").holds(Eps.parse("4/255"))
            False
        """
        if not other.fraction:
            return True
        return self.norm in (Norm.LINF, other.norm) and other.fraction <= self.fraction

    @property
    def canonical(self) -> str:
        """One spelling per value, for keys: the fraction in lowest terms; of L2 behind its name."""
        return str(self.fraction) if self.norm is Norm.LINF else f"{self.norm}:{self.fraction}"

    def __lt__(self, other: Eps) -> bool:
        return self._place < other._place

    @property
    def _place(self) -> tuple[int, Fraction]:
        return (list(Norm).index(self.norm), self.fraction)

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
