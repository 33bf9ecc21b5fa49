"""The threshold of a hash that nobody recommends one for."""

from __future__ import annotations

from typing import Final

from hashbench.matching.libraries import check_threshold

AN_EIGHTH: Final = -1
"""A threshold that nobody said: an eighth of the bits, about what PDQ's authors recommend for it
(31 of 256)."""


def threshold_of(said: int, bits: int) -> int:
    """The threshold of a hash of so many bits.

    Args:
        said: by its user, or `AN_EIGHTH`.
        bits: the length of its code.

    Raises:
        UsageError: it is no distance of two codes, or one that all codes are within.
    """
    if said == AN_EIGHTH:
        return bits // 8
    check_threshold(said, bits)
    return said
