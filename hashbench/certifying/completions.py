"""Histograms of Hamming distance for all completions of some bits at once.

A completion sets each of s uncertain bits. Counting the items at each distance anew for each of the
2^s completions takes 2^s times the items; here the items are counted once, by their distance on
the other bits and by their pattern on the s bits, and each bit then doubles the completions that
the counts speak of, as in a fast Walsh-Hadamard transform: s additions per completion and distance.
"""

from __future__ import annotations

import numpy as np

from hashbench.retrieval.checks import Array
from hashbench.retrieval.harmonic import Ints


def counts_within(
    distances: Ints, patterns: Ints, counts: Ints, *, bits: int, places: int
) -> Array:
    """Items up to each distance from each completion of some bits.

    Args:
        distances: int64 `(D,)`, on the other bits, from 0 to `places - bits - 1`.
        patterns: int64 `(D,)`, the items' values of the s bits, from 0 to `2^bits - 1`.
        counts: int64 `(D,)`, how many items each stands for.
        bits: s.
        places: distances that are told apart.

    Returns:
        int32 or int64 `(places, 2^bits)`: at `[d, c]` the items whose distance to completion c is
        at most d.
    """
    columns = 1 << bits
    # Sums of whole numbers below 2^53: exact in float64.
    found = np.bincount(
        distances * columns + patterns, weights=counts, minlength=places * columns
    ).reshape(places, columns)
    # Half as many bytes wherever they hold every count.
    small = counts.sum(initial=0) <= np.iinfo(np.int32).max // 2
    within = np.cumsum(found.astype(np.int32 if small else np.int64), axis=0)
    for _ in range(bits):
        # The lowest bit of a column's number is worked on and becomes the highest: after all of
        # them each is where it was, and every step writes long rows.
        zero, one = within[:, 0::2], within[:, 1::2]
        turned = np.empty((places, 2, columns // 2), dtype=within.dtype)
        turned[0, 0], turned[0, 1] = zero[0], one[0]
        np.add(zero[1:], one[:-1], out=turned[1:, 0])
        np.add(one[1:], zero[:-1], out=turned[1:, 1])
        within = turned.reshape(places, columns)
    return within
