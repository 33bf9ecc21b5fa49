"""How many images of a tree without splits become queries: a number, or a share of all."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from hashbench.characters import shortened
from hashbench.errors import UsageError
from hashbench.exact import exact

_NUMERIC: Final = re.compile(r"[+-]?[\d.][\d._eE/+-]*%?")


@dataclass(frozen=True)
class Amount:
    """So many images, or such a share of them.

    Attributes:
        count: of images; None where a share is meant.
        share: between 0 and 1, exclusive; None where a count is meant.
    """

    count: int | None = None
    share: Fraction | None = None


def is_amount(text: str) -> bool:
    """Whether a parameter means a number of images, and not the name of a split."""
    return _NUMERIC.fullmatch(text) is not None


def parse_amount(text: str, where: str) -> Amount:
    """Read `1000`, `0.1`, `1/10` or `10%`.

    Args:
        text: what was typed.
        where: opens the sentence of an error.

    Raises:
        UsageError: it is none of these, or a share that is not between 0 and 1.
    """
    percent = text.endswith("%")
    try:
        value = exact(text.removesuffix("%")) / (100 if percent else 1)
    except (ValueError, ZeroDivisionError):
        raise UsageError(
            f"{where}: expected a number of images, or a share such as 0.1 or 10%, found "
            f"'{shortened(text)}'"
        ) from None
    if value.denominator == 1 and value >= 1 and not percent and "." not in text:
        return Amount(count=int(value))
    if not 0 < value < 1:
        raise UsageError(
            f"{where}: a share must lie between 0 and 1, and a number of images be whole; found "
            f"'{shortened(text)}'"
        )
    return Amount(share=value)
