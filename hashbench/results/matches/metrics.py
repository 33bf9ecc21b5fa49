"""The names of metrics of matches, each once, as the CSV writes them."""

from __future__ import annotations

from typing import Final

TPR: Final = "tpr"
"""Share of the innocent changes of all pictures that still match their own at the threshold."""

FPR: Final = "fpr"
"""Share of pairs of different pictures that match at the threshold."""

TPR_AT_FPR: Final = {f"tpr@fpr={rate}": float(rate) for rate in ("1e-3", "1e-4", "1e-5", "1e-6")}
"""The largest TPR of all thresholds whose FPR is at most this."""

RECALL_AT_PRECISION: Final = {
    f"recall@precision={share}": float(share) for share in ("0.9", "0.9999")
}
"""The largest recall of all thresholds whose precision is at least this."""

EER: Final = "eer"
"""FPR where it equals the share of matches that are missed; on a line between two thresholds."""

MICRO_AP: Final = "micro-ap"
"""Average precision over all pairs at once, ties in the order that is worst for the hash."""

PAIRS_SAME: Final = "pairs_same"
"""How many pairs of a picture and an innocent change of it were compared."""

PAIRS_OTHER: Final = "pairs_other"
"""How many pairs of different pictures were compared: a changed or clean one with a clean one."""

FALSE_FLAGS: Final = "false_flags_a_day"
"""False matches a day to expect: new pictures a day x stored pictures x FPR, as both were stated.
At most so many new pictures are flagged by mistake; one of them may match several stored ones."""

TRAFFIC: Final = "traffic"
"""New pictures a day that false flags are counted for, as it was stated."""

STORED: Final = "stored"
"""Stored pictures that each of them is compared with, as it was stated."""

PICTURES: Final = "pictures"
"""How many pictures were hashed."""

ATTEMPTS: Final = "attempts"
"""How many pictures were attacked; a collision needs a stranger that does not match already."""

EVASION: Final = "evasion"
"""Share of pictures whose saved file no longer matches the clean one."""

COLLISION: Final = "collision"
"""Share of pictures whose saved file matches a stranger."""

DISTANCE: Final = "distance_mean"
"""Mean Hamming distance of the saved files: to the clean one, or to the stranger."""

QUERIES: Final = ("queries_mean", "queries_q1", "queries_median", "queries_q3")
"""How often a black-box attack asked for a distance, over the pictures where it succeeded."""

ATTACKED: Final = (
    "attacked_eps_mean",
    "attacked_eps_q1",
    "attacked_eps_median",
    "attacked_eps_q3",
)
"""Of the least radius at which an attack succeeded, in `[0, 1]` pixels; infinite where it never
did."""

PROVEN: Final = ("proven_eps_mean", "proven_eps_q1", "proven_eps_median", "proven_eps_q3")
"""Of the largest radius at which no attack can succeed, as is proven."""

SMOOTHED_L2: Final = (
    "smoothed_l2_mean",
    "smoothed_l2_q1",
    "smoothed_l2_median",
    "smoothed_l2_q3",
)
"""Of the l2 distance, over all pixel values in `[0, 1]`, inside which the smoothed code of a
picture still matches, whoever attacks."""

SMOOTHED_EPS: Final = (
    "smoothed_eps_mean",
    "smoothed_eps_q1",
    "smoothed_eps_median",
    "smoothed_eps_q3",
)
"""The same as a radius of L-infinity, in `[0, 1]` pixels: over the root of the pixel values."""

SMOOTHED_DISTANCE: Final = "smoothed_distance_mean"
"""Mean Hamming distance of the smoothed codes to the plain ones."""

ABSTAINED: Final = "smoothed_abstained"
"""Share of the bits of the smoothed codes of which the draws do not tell the value."""


def of_change(change: str) -> str:
    """The name of the TPR of one innocent change: `tpr[jpeg:quality=50]`."""
    return f"{TPR}[{change}]"


def change_of(metric: str) -> str | None:
    """The innocent change that a metric is the TPR of; `None` for any other metric."""
    inner = metric.removeprefix(f"{TPR}[")
    return inner.removesuffix("]") if inner != metric and inner.endswith("]") else None
