"""Center codes: the code that stands for what a query's labels mean."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from hashbench.retrieval.checks import Array, same_columns, same_rows
from hashbench.retrieval.options import Weighting, choice
from hashbench.retrieval.packing import (
    Bytes,
    byte_width,
    code_matrix,
    codes_to_bytes,
    label_matrix,
    labels_to_bytes,
    unpack_codes,
)

# A weighted sum that rounding could have pushed off zero counts as zero.
_ROUNDING = 64 * np.finfo(np.float64).eps


def center_codes(
    labels: Any, codes: Any, code_labels: Any, *, weighting: Weighting | str = Weighting.UNIFORM
) -> npt.NDArray[np.int8]:
    """The center code of each label row: near its relevant codes, far from the others.

    ``uniform``: ``sign(mean of the relevant codes - mean of the others)`` as released with CgAT
    (Wang et al., WWW 2023); without a relevant code, or without any other, all bits are 0.
    ``cosine``: the relevant codes are weighed by the cosine of the label rows (mainstay code of
    SAAT, Yuan et al., TIFS 2023); a mean over no codes is 0, the other one decides alone.

    Args:
        labels: 0/1 ``(Q, C)``, the rows that codes are wanted for.
        codes: -1/+1 ``(n, K)``, usually those of the training set.
        code_labels: 0/1 ``(n, C)``, their labels.
        weighting: ``uniform`` or ``cosine``.

    Returns:
        int8 ``(Q, K)`` of -1, 0 and +1; a bit on which both sides agree stays 0.

    Raises:
        ValueError: values other than those above, or shapes that do not fit.
    """
    rule = choice(Weighting, weighting, "weighting")
    wanted, given = label_matrix(labels, "labels"), label_matrix(code_labels, "code_labels")
    values = code_matrix(codes, "codes")
    same_rows(values, given, "codes", "code_labels")
    same_columns(wanted, given, "labels", "code_labels", "classes")
    bits, classes = values.shape[1], wanted.shape[1]

    rows, inverse = _distinct(labels_to_bytes(wanted, "labels", classes), classes)
    groups, group_of = _distinct(labels_to_bytes(given, "code_labels", classes), classes)
    sums = _sums(codes_to_bytes(values, "codes", bits), bits, group_of, groups.shape[0])
    sizes = np.bincount(group_of, minlength=groups.shape[0]).astype(np.float64)

    shared = rows @ groups.T
    relevant = (shared > 0).astype(np.float64)
    others = sums.sum(axis=0) - relevant @ sums
    other_count = (sizes.sum() - relevant @ sizes)[:, None]
    if rule is Weighting.UNIFORM:
        count = (relevant @ sizes)[:, None]
        # Both means over one denominator: whole numbers, so that a tie is exactly 0.
        score = other_count * (relevant @ sums) - count * others
    else:
        score = _cosine_score(shared, groups, sums, sizes, others, other_count)
    centers: npt.NDArray[np.int8] = np.sign(score).astype(np.int8)[inverse]
    return centers


def _cosine_score(
    shared: Array, groups: Array, sums: Array, sizes: Array, others: Array, other_count: Array
) -> Array:
    """``mean of the others' count`` times the difference of the two weighted means' numerators.

    The cosine is ``shared / sqrt(|row| |group|)``; the row's length cancels in the weighted mean.
    Terms are summed by the group's number of labels, so that each is a whole number over a root.
    """
    count = np.where(other_count > 0, other_count, 1.0)
    score = np.zeros_like(others)
    scale = np.zeros_like(others)
    mass = np.zeros((shared.shape[0], 1))
    for labels in np.unique(groups.sum(axis=1)):
        if labels == 0:
            continue
        chosen = groups.sum(axis=1) == labels
        weight = shared[:, chosen]
        near = weight @ sums[chosen]
        total = (weight @ sizes[chosen])[:, None]
        term = (count * near - total * others) / np.sqrt(labels)
        score += term
        scale += np.abs(term)
        mass += total
    score = np.where(mass > 0, score, -others)
    return np.where(np.abs(score) <= _ROUNDING * scale, 0.0, score) if scale.any() else score


def _distinct(packed: Bytes, classes: int) -> tuple[Array, npt.NDArray[np.intp]]:
    """The distinct rows as float64 ``(G, C)``, and the row number of each item."""
    void = np.ascontiguousarray(packed).view(np.dtype((np.void, packed.shape[1])))[:, 0]
    _, first, inverse = np.unique(void, return_index=True, return_inverse=True)
    rows = np.unpackbits(packed[first], axis=1, count=classes, bitorder="little")
    return rows.astype(np.float64), inverse.ravel()


def _sums(packed: Bytes, bits: int, group_of: npt.NDArray[np.intp], groups: int) -> Array:
    """The sum of the codes of each group, float64 ``(G, K)`` of whole numbers."""
    order = np.argsort(group_of, kind="stable")
    starts = np.searchsorted(group_of[order], np.arange(groups))
    sorted_codes = unpack_codes(packed[order], bits)
    total: Array = np.add.reduceat(sorted_codes, starts, axis=0, dtype=np.int64)
    assert packed.shape[1] == byte_width(bits)
    return total.astype(np.float64)
