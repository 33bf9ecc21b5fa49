"""Differences of harmonic numbers, to the last digits even far down a list."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

# Up to here differences come from a table, each rounded once; above, four terms of Euler and
# Maclaurin's series leave less than 1e-17.
_TABLE_END: Final = 64


def _table() -> Floats:
    table = np.zeros((_TABLE_END + 1, _TABLE_END + 1), dtype=np.float64)
    for start in range(_TABLE_END):
        for stop in range(start + 1, _TABLE_END + 1):
            table[start, stop] = math.fsum(1.0 / i for i in range(start + 1, stop + 1))
    return table


_TABLE: Final = _table()


def harmonic_difference(start: Ints, stop: Ints) -> Floats:
    """``1 / (start + 1) + ... + 1 / stop`` for whole numbers ``0 <= start <= stop``, elementwise.

    A plain table of harmonic numbers would lose the difference of two large ones to rounding: what
    is multiplied with it grows with the rank. Here the relative error stays at a few 1e-16.
    """
    low_start, low_stop = np.minimum(start, _TABLE_END), np.minimum(stop, _TABLE_END)
    head: Floats = _TABLE[low_start, low_stop]
    first = np.maximum(start, _TABLE_END).astype(np.float64)
    last = np.maximum(stop, _TABLE_END).astype(np.float64)
    tail: Floats = np.log1p((last - first) / first) + (_series(last) - _series(first))
    return head + tail


def _series(x: Floats) -> Floats:
    """``H(x) - ln x - gamma``."""
    inverse = 1.0 / x
    square = inverse * inverse
    value: Floats = inverse / 2 - square * (
        1 / 12 - square * (1 / 120 - square * (1 / 252 - square / 240))
    )
    return value
