"""Center codes: the code that stands for what a query's labels mean."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from hashbench.retrieval.checks import (
    Array,
    as_matrix,
    code_bits,
    row_blocks,
    same_columns,
    same_rows,
)
from hashbench.retrieval.options import Weighting, choice
from hashbench.retrieval.packing import (
    Bytes,
    code_matrix,
    label_matrix,
    labels_to_bytes,
    to_words,
)

# A weighted sum that rounding could have pushed off zero counts as zero.
_ROUNDING: Final = 64 * np.finfo(np.float64).eps
# Pairs of label rows whose product is taken at once, which bounds the memory, and those that are
# compared at once, which stay in a cache.
_BLOCK_PAIRS: Final = 1 << 22
_CACHE_PAIRS: Final = 1 << 16


def center_codes(
    labels: Any, codes: Any, code_labels: Any, *, weighting: Weighting | str = Weighting.UNIFORM
) -> npt.NDArray[np.int8]:
    """The center code of each label row: near its relevant codes, far from the others.

    ``uniform``: ``sign(mean of the relevant codes - mean of the others)`` as released with CgAT
    (Wang et al., WWW 2023); without a relevant code, or without any other, all bits are 0.
    ``cosine``: the relevant codes are weighed by the cosine of the label rows (mainstay code of
    SAAT, Yuan et al., TIFS 2023); a mean over no codes is 0, the other one decides alone.

    Args:
        labels: 0/1 ``(Q, C)``, the rows that codes are wanted for; there may be none.
        codes: -1/+1 ``(n, K)``, usually those of the training set.
        code_labels: 0/1 ``(n, C)``, their labels.
        weighting: ``uniform`` or ``cosine``.

    Returns:
        int8 ``(Q, K)`` of -1, 0 and +1; a bit on which both sides agree stays 0.

    Raises:
        ValueError: values other than those above, or shapes that do not fit.

    Examples:
        >>> codes, code_labels = [[1, 1], [1, -1], [-1, -1]], [[1, 0], [1, 0], [0, 1]]
        >>> center_codes([[1, 0], [0, 1]], codes, code_labels).tolist()
        [[1, 1], [-1, -1]]

        Where the means agree nothing can be said of a bit:

        >>> center_codes([[1, 0]], [[1, 1], [-1, 1]], [[1, 0], [0, 1]]).tolist()
        [[1, 0]]
    """
    rule = choice(Weighting, weighting, "weighting")
    wanted, given = as_matrix(labels, "labels"), label_matrix(code_labels, "code_labels")
    values = code_matrix(codes, "codes")
    same_rows(values, given, "codes", "code_labels")
    same_columns(wanted, given, "labels", "code_labels", "classes")
    bits, classes = values.shape[1], wanted.shape[1]
    if len(wanted) == 0:  # of the label rows of a train set without labels, say
        return np.zeros((0, bits), dtype=np.int8)
    wanted = label_matrix(wanted, "labels")

    rows, row_of = _distinct(labels_to_bytes(wanted, "labels", classes))
    groups = _group(labels_to_bytes(given, "code_labels", classes), values)
    score = np.empty((rows.shape[0], bits), dtype=np.float64)
    step = max(1, _BLOCK_PAIRS // groups.rows.shape[0])
    for start in range(0, rows.shape[0], step):
        block = slice(start, start + step)
        score[block] = _SCORES[rule](rows[block], groups)
    centers: npt.NDArray[np.int8] = np.sign(score).astype(np.int8)
    return centers[row_of]


@dataclass(frozen=True)
class _Groups:
    """Codes added up by label row.

    Attributes:
        rows: uint8 ``(G, ceil(C / 8))``, the distinct label rows, packed.
        sums: whole numbers ``(G, K + 1)``: the sum of each group's codes, and in the last column
            its size. float32 where that is exact, since the products cost half as much.
    """

    rows: Bytes
    sums: Array

    @property
    def total(self) -> Array:
        total: Array = self.sums.sum(axis=0, dtype=np.float64)
        return total


def _near(rows: Bytes, groups: _Groups) -> Array:
    """The sums ``(rows, K + 1)`` over the groups that share a label with each row."""
    relevant = np.empty((rows.shape[0], groups.rows.shape[0]), dtype=groups.sums.dtype)
    pairs = list(zip(to_words(rows), to_words(groups.rows), strict=True))
    step = max(1, _CACHE_PAIRS // groups.rows.shape[0])
    for start in range(0, rows.shape[0], step):
        block = slice(start, start + step)
        shared = ((row[block, None] & group) != 0 for row, group in pairs)
        relevant[block] = reduce(np.logical_or, shared)
    near: Array = (relevant @ groups.sums).astype(np.float64)
    return near


def _uniform_score(rows: Bytes, groups: _Groups) -> Array:
    near = _near(rows, groups)
    far = groups.total - near
    # Both means over one denominator: whole numbers, so that a tie is exactly 0.
    score: Array = far[:, -1:] * near[:, :-1] - near[:, -1:] * far[:, :-1]
    return score


def _cosine_score(rows: Bytes, groups: _Groups) -> Array:
    """A multiple of the difference between the weighted mean and the mean of the others.

    The cosine of two label rows is ``shared / sqrt(|row| |group|)``; the row's length cancels in
    the mean. Terms are summed by the group's number of labels: each is a whole number over a root.
    """
    near = _near(rows, groups)
    far = groups.total - near
    others = np.where(far[:, -1:] > 0, far[:, -1:], 1.0)
    score, scale = np.zeros_like(far[:, :-1]), np.zeros_like(far[:, :-1])
    bits, row_bits = (_unpacked(packed, groups.sums.dtype) for packed in (groups.rows, rows))
    lengths = bits.sum(axis=1)
    for length in np.unique(lengths[lengths > 0]):
        chosen = lengths == length
        weighted = ((row_bits @ bits[chosen].T) @ groups.sums[chosen]).astype(np.float64)
        term = others * weighted[:, :-1] - weighted[:, -1:] * far[:, :-1]
        score += term / np.sqrt(length)
        scale += np.abs(term)
    score[np.abs(score) <= _ROUNDING * scale] = 0.0
    # A mean over no codes is 0: the others decide alone.
    result: Array = np.where(near[:, -1:] > 0, score, -far[:, :-1])
    return result


_SCORES = {Weighting.UNIFORM: _uniform_score, Weighting.COSINE: _cosine_score}


def _group(labels: Bytes, codes: Array) -> _Groups:
    order, starts = _runs(labels)
    sums = np.empty((starts.size, codes.shape[1] + 1), dtype=_whole_number_type(labels))
    sizes = np.diff(starts, append=order.size)
    positive = np.empty(codes.shape, dtype=np.bool_)
    for block in row_blocks(*codes.shape):
        positive[block] = code_bits(codes[block], "codes", block.start)
    counts = np.add.reduceat(positive[order].view(np.uint8), starts, axis=0, dtype=np.int64)
    sums[:, :-1] = 2 * counts - sizes[:, None]
    sums[:, -1] = sizes
    return _Groups(labels[order[starts]], sums)


def _distinct(packed: Bytes) -> tuple[Bytes, npt.NDArray[np.intp]]:
    """The distinct rows, and which of them each item has."""
    order, starts = _runs(packed)
    row_of = np.empty(order.size, dtype=np.intp)
    row_of[order] = np.repeat(np.arange(starts.size), np.diff(starts, append=order.size))
    return packed[order[starts]], row_of


def _runs(packed: Bytes) -> tuple[Array, Array]:
    """An order in which equal rows are neighbours, and where each run of them starts."""
    words = to_words(packed)
    order = np.argsort(words[0]) if len(words) == 1 else np.lexsort(words)
    changes = np.zeros(order.size, dtype=np.bool_)
    changes[:1] = True
    for word in words:
        in_order = word[order]
        changes[1:] |= in_order[1:] != in_order[:-1]
    return order, np.flatnonzero(changes)


def _unpacked(packed: Bytes, kind: Any) -> Array:
    return np.unpackbits(packed, axis=1, bitorder="little").astype(kind)


def _whole_number_type(labels: Bytes) -> type[np.float32] | type[np.float64]:
    # Weighted sums reach the number of items times the number of labels of an item.
    return np.float32 if labels.shape[0] * labels.shape[1] * 8 < 1 << 24 else np.float64
