"""What a threshold costs: pairs that should match and pairs that should not, by distance.

Two pictures match where their codes differ in at most T bits. How many pairs of both kinds lie at
each distance says what every T gives: all here is exact over the pairs that were counted, and a
ratio of whole numbers that is rounded once.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate

import numpy as np

from hashbench.errors import UsageError
from hashbench.exact import exact
from hashbench.retrieval.checks import as_count
from hashbench.retrieval.harmonic import Ints
from hashbench.retrieval.options import Normalize, Ties
from hashbench.retrieval.tally import Tally, average_precision_of


@dataclass(frozen=True)
class Verification:
    """Pairs at each Hamming distance: of the same picture, and of different ones.

    A rate of pairs that do not exist is NaN. Where a rate or a share is asked for, a float counts
    as the decimal number that it is written as: ``1e-6`` is exactly one in a million.

    Attributes:
        same: int64 ``(K + 1,)``, pairs that should match.
        other: int64 ``(K + 1,)``, pairs that should not.

    Raises:
        ValueError: other shapes, no whole numbers, or negative ones.

    Examples:
        Four pairs that should match and four that should not, of codes of three bits:

        >>> pairs = Verification(np.array([2, 1, 0, 1]), np.array([0, 1, 1, 2]))
        >>> pairs.tpr(1), pairs.fpr(1), pairs.tpr_at_fpr(0.1), pairs.eer()
        (0.75, 0.25, 0.5, 0.25)
    """

    same: Ints
    other: Ints

    def __post_init__(self) -> None:
        for name, counts in (("same", self.same), ("other", self.other)):
            if counts.dtype != np.int64 or counts.ndim != 1 or (counts < 0).any():
                raise UsageError(
                    f"{name}: expected counts, int64 of one dimension, found {counts.dtype} of "
                    f"shape {counts.shape}"
                )
        if self.same.shape != self.other.shape or self.same.size == 0:
            raise UsageError(
                f"other: expected counts of as many distances as same, 1 at least, found "
                f"{self.same.size} and {self.other.size}"
            )

    def __add__(self, more: Verification) -> Verification:
        """Both sets of pairs together."""
        if self.same.shape != more.same.shape:
            raise UsageError(
                f"verification: expected codes of {self.same.size - 1} bits, found "
                f"{more.same.size - 1}"
            )
        return Verification(self.same + more.same, self.other + more.other)

    @property
    def bits(self) -> int:
        """The length of a code, K."""
        return self.same.size - 1

    @property
    def pairs_same(self) -> int:
        """How many pairs should match."""
        return int(self.same.sum())

    @property
    def pairs_other(self) -> int:
        """How many pairs should not match."""
        return int(self.other.sum())

    def tpr(self, threshold: int) -> float:
        """Share of the pairs that should match which differ in at most ``threshold`` bits."""
        return _ratio(_within(self.same, threshold), self.pairs_same)

    def fpr(self, threshold: int) -> float:
        """Share of the pairs that should not match which differ in at most that many bits."""
        return _ratio(_within(self.other, threshold), self.pairs_other)

    def threshold_at_fpr(self, rate: float | Fraction) -> int:
        """The largest threshold of at most this FPR, -1 to K.

        It is -1, at which nothing matches, where even equal codes match too often by mistake; and
        K where there is no pair that should not match.
        """
        most = _share(rate, "rate") * self.pairs_other
        reached: list[int] = list(accumulate(self.other.tolist()))
        return bisect_right(reached, most) - 1

    def tpr_at_fpr(self, rate: float | Fraction) -> float:
        """The largest TPR of all thresholds whose FPR is at most ``rate``.

        It is 0 where only the threshold at which nothing matches keeps to the rate. With fewer than
        ``1 / rate`` pairs that should not match, no one of them may.
        """
        threshold = self.threshold_at_fpr(rate)
        return math.nan if not self.pairs_other else self.tpr(threshold)

    def eer(self) -> float:
        """The equal error rate: FPR where it equals the share of matches that are missed.

        Between two neighbouring thresholds, from -1 (nothing matches) to K (everything does), both
        rates are taken as straight lines, which is what a system reaches that takes the one or the
        other threshold by chance. They cross at one rate.
        """
        same, other = self.pairs_same, self.pairs_other
        if not (same and other):
            return math.nan
        # FPR - FNR grows from -1 to 1.
        before, difference = Fraction(0), Fraction(-1)
        wrong, right = accumulate(self.other.tolist()), accumulate(self.same.tolist())
        for false, true in zip(wrong, right, strict=True):
            rate = Fraction(false, other)
            next_difference = rate - Fraction(same - true, same)
            if next_difference >= 0:
                part = difference / (difference - next_difference)
                return float(before + part * (rate - before))
            before, difference = rate, next_difference
        raise AssertionError("at threshold K everything matches")

    def recall_at_precision(self, share: float | Fraction) -> float:
        """The largest TPR of all thresholds at which this share of the matches is right.

        It is 0 where no threshold reaches the share. Precision depends on how many pairs of both
        kinds there are: it can be compared only between hashes on the same pairs.
        """
        least = _share(share, "share")
        wrong, right = accumulate(self.other.tolist()), accumulate(self.same.tolist())
        found = [
            true
            for false, true in zip(wrong, right, strict=True)
            if true and true >= least * (true + false)
        ]
        return _ratio(max(found, default=0), self.pairs_same)

    def micro_ap(self) -> float:
        """Average precision of all pairs in one list, nearest first.

        Among pairs at one distance those come first that should not match: no order of a tie gives
        less. The sum's error is a few times 1e-16 of the result's range.
        """
        if not self.pairs_same:
            return math.nan
        tally = Tally((self.same + self.other)[None], self.same[None])
        precision = average_precision_of(
            tally, top_k=None, ties=Ties.WORST, normalize=Normalize.RELEVANT
        )
        return float(precision[0])

    def false_flags_a_day(self, threshold: int, *, traffic: int, stored: int) -> float:
        """The expected number of false matches a day: ``traffic * stored * fpr(threshold)``.

        Each new picture is compared with each stored one, and none of them should match. The share
        of new pictures that are flagged is at most ``stored * fpr``: one picture may match several.

        Args:
            threshold: Hamming distance up to which two pictures match.
            traffic: new pictures a day.
            stored: pictures on the list.
        """
        compared = as_count(traffic, "traffic", 0) * as_count(stored, "stored", 0)
        return _ratio(compared * _within(self.other, threshold), self.pairs_other)


def _within(counts: Ints, threshold: int) -> int:
    """Pairs at a distance of at most ``threshold``."""
    return int(counts[: max(0, threshold + 1)].sum())


def _ratio(part: int, whole: int) -> float:
    """Rounded once; NaN where there is nothing to have a share of."""
    return part / whole if whole else math.nan


def _share(value: float | Fraction, argument: str) -> Fraction:
    """A rate, exactly as it is written.

    Raises UsageError outside of `[0, 1]`.
    """
    try:
        share = exact(str(value))
    except ValueError:
        share = Fraction(-1)
    if not 0 <= share <= 1:
        raise UsageError(f"{argument}: expected a number from 0 to 1, found {value!r}")
    return share
