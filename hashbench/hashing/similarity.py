"""Relevance between items as a tensor, for the pairwise losses and the center codes."""

from __future__ import annotations

from torch import Tensor


def relevant(labels: Tensor, others: Tensor) -> Tensor:
    """1 where two items share at least one label, else 0: (A, classes), (B, classes) -> (A, B)."""
    return (labels @ others.T > 0).to(labels.dtype)


def batch_centers(labels: Tensor, codes: Tensor, code_labels: Tensor) -> Tensor:
    """Center codes by tensor algebra, for the inside of a training loop.

    `sign(mean of relevant codes - mean of the others)` (CgAT, `hash_center_code`; 0 where
    undecided, and all 0 for an item to which everything, or nothing, is relevant). Equal to
    `hashbench.retrieval.center_codes` on the same input.

    Args:
        labels: (B, classes) of 0 and 1.
        codes: (N, K) of +1 and -1.
        code_labels: (N, classes).

    Returns:
        (B, K) of +1, 0 and -1, in the type of `codes`.
    """
    near = relevant(labels, code_labels).to(codes.dtype)
    count = near.sum(dim=1, keepdim=True)
    inside = near @ codes
    outside = codes.sum(dim=0, keepdim=True) - inside
    # The difference of the means times (count * rest): whole numbers, exact in float32 up to 2^24,
    # so that a tie is a tie and not a rounding error.
    return (inside * (len(codes) - count) - outside * count).sign()
