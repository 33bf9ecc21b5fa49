"""What is proven of the difference hash: intervals of the small greys and of their differences.

Bit j of a row says whether grey j + 1 lies above grey j. A row of the small picture is a chain of 9
whole numbers, each in an interval, with the difference of neighbours in an interval too. How many
of its 8 bits can turn together is counted exactly for such a chain: of every set of bits, whether a
chain turns them. Rows of the small picture share pixels; here each takes what is worst for itself.
What holds a single bit is known more exactly (`dhash_pairs`), and used.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from hashbench.matching.contract import Proof
from hashbench.matching.pillow_resize import grey, reduced
from hashbench.matching.proofs.dhash_pairs import HEIGHT, WIDTH, held_bits
from hashbench.matching.proofs.pillow_bounds import Interval, combined, small_bounds

_STEPS: Final = np.eye(WIDTH)[1:] - np.eye(WIDTH)[:-1]


@dataclass(frozen=True)
class DhashProof(Proof):
    """Chains of intervals, one for each row of the small picture."""

    @override
    def most_turned(
        self, clean: NDArray[np.uint8], lowest: NDArray[np.uint8], highest: NDArray[np.uint8]
    ) -> int:
        """Return the bound for a box; a larger box has no smaller one.

        Args:
            clean: (H, W, 3), the picture itself.
            lowest: like `clean`, the least value of each pixel.
            highest: the largest one.
        """
        values = reduced(grey(clean), HEIGHT, WIDTH).astype(np.int64)
        small = small_bounds(lowest, highest, HEIGHT, WIDTH)
        steps = combined(small, np.eye(HEIGHT), _STEPS).whole()
        on = values[:, 1:] > values[:, :-1]
        held = held_bits(small.greys, on)
        # A held bit's step stays on its side of 0.
        steps = Interval(
            np.where(held & on, np.maximum(steps.low, 1), steps.low),
            np.where(held & ~on, np.minimum(steps.high, 0), steps.high),
        )
        return int(turned_in_rows(small.values, steps, on).sum())


def turned_in_rows(values: Interval, steps: Interval, on: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return how many bits of each row of a small picture turn together at most.

    Where a chain's values so far end in an interval, the next ones do: the interval, moved by that
    of the steps and cut to what the next value may be. So every set of bits takes one walk.

    Args:
        values: (rows, n + 1), whole numbers.
        steps: (rows, n), of each value less the one before, whole numbers.
        on: (rows, n), the clean bits: whether a step is above 0.

    Returns:
        (rows,).
    """
    sets = _all_sets(on.shape[1])
    turned = sets[None]
    new = on[:, None, :] != turned
    least = np.where(new, np.maximum(steps.low[:, None, :], 1), steps.low[:, None, :])
    most = np.where(new, steps.high[:, None, :], np.minimum(steps.high[:, None, :], 0))
    possible = (least <= most).all(axis=2)
    low = np.repeat(values.low[:, :1], len(sets), axis=1)
    high = np.repeat(values.high[:, :1], len(sets), axis=1)
    for place in range(on.shape[1]):
        low = np.maximum(low + least[:, :, place], values.low[:, place + 1, None])
        high = np.minimum(high + most[:, :, place], values.high[:, place + 1, None])
        possible &= low <= high
    counts: NDArray[np.int64] = np.where(possible, sets.sum(axis=1), 0).max(axis=1)
    return counts


def _all_sets(count: int) -> NDArray[np.bool_]:
    """Every set of some bits, (2 ** count, count)."""
    return ((np.arange(2**count)[:, None] >> np.arange(count)) & 1).astype(np.bool_)
