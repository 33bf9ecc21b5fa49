"""How often each small whole number stands in an array, by numpy or by torch where it is loaded.

A histogram adds one to a place of memory for each value, and waits where two neighbours add to the
same place. Counting *pairs* of neighbours halves both: the table of pairs is small, and adding up
its rows and its columns gives the counts of single values, exactly.
"""

from __future__ import annotations

import sys
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from hashbench.retrieval.checks import Array

Counts = npt.NDArray[np.int64]

# A pair of bytes is one number of 16 bits as it lies in memory, if the larger byte is below 128 and
# torch, which knows signed numbers alone, is to count it. The table then has a row of 256 for each
# value, so that it pays from these many values on.
_AS_THEY_LIE: Final = 128
_WORTH_A_WIDE_TABLE: Final = 1 << 15
# A pair below this is made of its two values by a multiplication, which costs a little more, and
# its table is as small as can be.
_LARGEST_PAIR: Final = 1 << 15
_WORTH_A_TABLE: Final = 1 << 17


def histogram(values: Array, bins: int) -> Counts:
    """How often each of 0 to ``bins - 1`` stands in ``values``.

    Args:
        values: uint8 or uint16 ``(n,)``, contiguous, all below ``bins``.
        bins: at most 32,768.

    Returns:
        int64 ``(bins,)``.
    """
    if values.dtype == np.uint8 and values.size >= _WORTH_A_WIDE_TABLE:
        if bins <= _AS_THEY_LIE:
            pairs = values[: values.size & ~1].view(np.uint16)
            return _of_pairs(pairs, values, bins, row=256)
        if bins * bins <= _LARGEST_PAIR and values.size >= _WORTH_A_TABLE:
            half = values.size // 2
            pairs = np.multiply(values[:half], np.uint16(bins), dtype=np.uint16)
            np.add(pairs, values[half : 2 * half], out=pairs)
            return _of_pairs(pairs, values, bins, row=bins)
    return _counted(values, bins)


def _of_pairs(pairs: Array, values: Array, bins: int, *, row: int) -> Counts:
    """The histogram of ``values``, given its pairs ``row * one + other``; a last one is left."""
    table = _counted(pairs, bins * row).reshape(bins, row)[:, :bins]
    counts: Counts = table.sum(axis=0) + table.sum(axis=1)
    if values.size % 2:
        counts[values[-1]] += 1
    return counts


def _counted(values: Array, bins: int) -> Counts:
    # numpy converts small integers to int64 before it counts, torch counts them as they are, twice
    # as fast. It is used only where the program has loaded it anyway; the counts are the same.
    torch: Any = sys.modules.get("torch")
    if not hasattr(torch, "bincount"):
        return np.bincount(values, minlength=bins)
    tensor = torch.from_numpy(values if values.dtype == np.uint8 else values.view(np.int16))
    counts: Counts = tensor.bincount(minlength=bins).numpy()
    return counts
