"""How much of its bits a set of codes uses: what a robust number must stand next to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hashbench.errors import UsageError
from hashbench.retrieval.checks import as_matrix, as_top_k, not_empty, same_columns
from hashbench.retrieval.database import Shard
from hashbench.retrieval.packing import code_matrix, pack_codes, unpack_codes
from hashbench.retrieval.scorer import Scorer
from hashbench.retrieval.tally import Tally


@dataclass(frozen=True)
class CodeQuality:
    """Figures that show a collapsed or saturated code.

    Attributes:
        items: number of codes.
        bits: K.
        distinct_codes: how many different codes there are.
        bit_balance: 1 where every bit is +1 half of the time, 0 where every bit is constant: the
            mean over the bits of ``1 - |mean of the bit|``.
        bit_entropy: mean over the bits of the entropy of one bit, in bits, in [0, 1].
        constant_bits: bits that are the same in all codes.
        tied_share: with a database: the share of the items in the first top_k whose distance some
            other item has too, averaged over the codes as queries; else None.
        saturated_share: with outputs: the share of outputs that no gradient can leave; else None.
    """

    items: int
    bits: int
    distinct_codes: int
    bit_balance: float
    bit_entropy: float
    constant_bits: int
    tied_share: float | None = None
    saturated_share: float | None = None


def code_quality(
    codes: Any,
    *,
    database_codes: Any = None,
    top_k: int | None = None,
    outputs: Any = None,
    saturation: float = 1.0,
) -> CodeQuality:
    """Describe codes, the ties that they meet in a database, and how saturated their outputs are.

    Args:
        codes: -1/+1 ``(n, K)``.
        database_codes: -1/+1 ``(N, K)`` that the codes would be ranked against, for the ties.
        top_k: length of the ranked list; None for all of the database.
        outputs: ``(n, K)`` in [-1, 1], the values before the sign.
        saturation: an output of at least this size counts as saturated. At 1, the default, the
            tanh has no slope left in the output's own precision.

    Raises:
        ValueError: values or shapes other than those above.

    Examples:
        The first bit is used half of the time, the second one never:

        >>> quality = code_quality([[1, 1], [-1, 1]])
        >>> quality.distinct_codes, quality.constant_bits, quality.bit_balance, quality.bit_entropy
        (2, 1, 0.5, 0.5)
    """
    values = code_matrix(codes, "codes")
    packed = pack_codes(values)
    items, bits = values.shape
    positive = np.zeros(bits, dtype=np.int64)
    for start in range(0, items, 1 << 16):
        block = unpack_codes(packed[start : start + (1 << 16)], bits)
        positive += (block == 1).sum(axis=0)
    share = positive / items
    return CodeQuality(
        items=items,
        bits=bits,
        distinct_codes=int(np.unique(packed, axis=0).shape[0]),
        bit_balance=float((1 - np.abs(2 * share - 1)).mean()),
        bit_entropy=float(_entropy(share).mean()),
        constant_bits=int(((positive == 0) | (positive == items)).sum()),
        tied_share=None if database_codes is None else _tied_share(values, database_codes, top_k),
        saturated_share=None if outputs is None else _saturated(outputs, values, saturation),
    )


def _entropy(share: Any) -> Any:
    """Entropy in bits of a coin with this share of heads."""
    inside = np.clip(share, np.finfo(np.float64).tiny, 1.0)
    outside = np.clip(1 - share, np.finfo(np.float64).tiny, 1.0)
    return -(share * np.log2(inside) + (1 - share) * np.log2(outside))


def _tied_share(codes: Any, database_codes: Any, top_k: int | None) -> float:
    database = code_matrix(database_codes, "database_codes")
    same_columns(codes, database, "codes", "database_codes", "bits")
    # Labels play no part in distances: one class that nobody has.
    scorer = Scorer(
        codes,
        np.zeros((codes.shape[0], 1), dtype=np.uint8),
        Shard(database, np.zeros((database.shape[0], 1), dtype=np.uint8)),
    )
    return tied_share(scorer.tally, top_k)


def tied_share(tally: Tally, top_k: int | None) -> float:
    """The share of the items in the first ``top_k`` whose distance some other item has too.

    Averaged over the queries; of counts that were made before. Labels play no part.
    """
    tie = tally.tied(as_top_k(top_k))
    tied = np.where(tie.n > 1, tie.m, 0).sum(axis=1)
    return float((tied / tally.length(top_k)).mean())


def _saturated(outputs: Any, codes: Any, saturation: float) -> float:
    values = as_matrix(outputs, "outputs")
    not_empty(values, "outputs")
    if values.shape != codes.shape:
        raise UsageError(f"outputs: expected shape {codes.shape}, found {values.shape}")
    if not 0 < saturation <= 1:
        raise UsageError(f"saturation: expected above 0 and at most 1, found {saturation!r}")
    size = np.abs(values)
    if not (size <= 1).all():
        raise UsageError("outputs: expected values in [-1, 1], found one outside or NaN")
    return float((size >= saturation).mean())
