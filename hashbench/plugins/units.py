"""Units of parameters, declared in their types, so that `show` knows how to write a number."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, get_args


class Unit(StrEnum):
    """What a parameter's number counts."""

    PIXELS = "pixels"
    """A pixel's whole range counts as 1; the literature writes it in steps of 1/255."""


PixelSize = Annotated[float, Unit.PIXELS]
"""A change of a pixel, or a spread of its values, in `[0, 1]` pixels: a float like any other, but
shown as `1/255` where it is a whole number of such steps."""


def unit_of(kind: Any) -> Unit | None:
    """The unit that a type declares: `PixelSize`, `PixelSize | None`; of others `None`."""
    for part in (kind, *get_args(kind)):
        for fact in getattr(part, "__metadata__", ()):
            if isinstance(fact, Unit):
                return fact
    return None
