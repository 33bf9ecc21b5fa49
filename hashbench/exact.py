"""Exact numbers out of text, bounded before they are expanded."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Final

MAX_LENGTH: Final = 2_000
"""The most characters of a number: a double that is written out as a fraction needs some 800."""

MAX_EXPONENT: Final = 400
"""The largest power of ten, up and down: beyond the range of every double (308, 324)."""

_EXPONENT: Final = re.compile(r"[eE]([+-]?\d+)$")


def exact(text: str) -> Fraction:
    """Read `8/255`, `0.031`, `1e-3` or `7` exactly.

    `Fraction` alone would write `1e999999999` out, digit by digit.

    Args:
        text: blanks in it count for nothing.

    Raises:
        ValueError: it is no number, too long, or of too large an exponent.
        ZeroDivisionError: the denominator is 0.
    """
    text = text.replace(" ", "")
    if len(text) > MAX_LENGTH:
        raise ValueError(f"a number of {len(text):,} characters")
    exponent = _EXPONENT.search(text.replace("_", ""))
    if exponent is not None and abs(int(exponent[1])) > MAX_EXPONENT:
        raise ValueError(f"a number with the exponent {exponent[1]}")
    return Fraction(text)
