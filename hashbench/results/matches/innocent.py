"""What a threshold costs the innocent, as the metrics of a cell. No torch."""

from __future__ import annotations

import math

from hashbench.matching.innocent import InnocentCounts
from hashbench.results.matches import metrics


def innocent_metrics(
    counts: InnocentCounts, threshold: int, *, traffic: int, stored: int
) -> dict[str, float]:
    """The metrics of an innocent cell, by their names.

    All are exact over the pairs that there are. What no pair says is left out: of a single picture
    there is no FPR. With fewer than `1 / rate` pairs of different pictures, TPR at that FPR is the
    one at the largest threshold that takes none of them for a match.

    Args:
        counts: of the pictures and their changes.
        threshold: Hamming distance up to which two pictures match.
        traffic: new pictures a day.
        stored: pictures that they are compared with.
    """
    pairs = counts.pairs
    found = {
        metrics.PICTURES: float(counts.pictures),
        metrics.PAIRS_SAME: float(pairs.pairs_same),
        metrics.PAIRS_OTHER: float(pairs.pairs_other),
        metrics.TPR: pairs.tpr(threshold),
        metrics.FPR: pairs.fpr(threshold),
        **{name: pairs.tpr_at_fpr(rate) for name, rate in metrics.TPR_AT_FPR.items()},
        **{
            name: pairs.recall_at_precision(share)
            for name, share in metrics.RECALL_AT_PRECISION.items()
        },
        metrics.EER: pairs.eer(),
        metrics.MICRO_AP: pairs.micro_ap(),
        metrics.FALSE_FLAGS: pairs.false_flags_a_day(threshold, traffic=traffic, stored=stored),
        **{metrics.of_change(one): counts.tpr(one, threshold) for one in counts.changes},
    }
    if not pairs.pairs_other:  # nothing is known of false matches
        for name in (*metrics.RECALL_AT_PRECISION, metrics.MICRO_AP):
            del found[name]
    return {name: value for name, value in found.items() if not math.isnan(value)}
