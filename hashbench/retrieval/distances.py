"""How often each Hamming distance stands between two sets of codes, over all pairs, exactly.

A pair is counted, never kept: memory does not grow with the number of pairs.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import numpy as np

from hashbench.errors import UsageError
from hashbench.retrieval.checks import Array, as_count, as_matrix, same_columns, same_rows
from hashbench.retrieval.compiled import counter
from hashbench.retrieval.harmonic import Ints
from hashbench.retrieval.options import Kernel, choice
from hashbench.retrieval.packing import Bytes, codes_to_bytes, labels_to_bytes
from hashbench.retrieval.queries import group_queries

MOST_BITS: Final = 1 << 13
"""The longest code that pairs are counted of."""

# Counts of single queries wait in 16 MB for each thread before they are added up.
_BLOCK_COUNTS: Final = 1 << 21
# Pairs that are looked up one by one, at a time.
_BLOCK_PAIRS: Final = 1 << 16
# A group of so many pairs is counted as a whole is: looking up a pair costs as much as counting
# twenty.
_LARGE_GROUP: Final = 1 << 20


def distance_histogram(
    query_codes: Any,
    database_codes: Any,
    *,
    query_groups: Any = None,
    database_groups: Any = None,
    threads: int = 1,
    kernel: Kernel | str = Kernel.AUTO,
) -> Ints:
    """How many pairs of a query and a database code lie at each Hamming distance.

    Args:
        query_codes: ``(Q, K)`` of -1 and +1, or bool; an array or a tensor; Q may be 0.
        database_codes: ``(N, K)``, in the same form or in the other one; N may be 0.
        query_groups: ``(Q,)`` whole numbers or texts, or None. Pairs of equal groups are left out:
            a picture is no stranger to itself.
        database_groups: ``(N,)``, given where ``query_groups`` is.
        threads: how many threads count; each takes some of the queries.
        kernel: what counts, see `Kernel`; the counts are the same.

    Returns:
        int64 ``(K + 1,)``: pairs at distance 0 to K.

    Raises:
        ValueError: names the argument, what was expected and what was found.

    Examples:
        >>> distance_histogram([[1, 1], [1, -1]], [[1, 1], [-1, -1]]).tolist()
        [1, 2, 1]
        >>> same = {"query_groups": [0, 1], "database_groups": [0, 2]}
        >>> distance_histogram([[1, 1], [1, -1]], [[1, 1], [-1, -1]], **same).tolist()
        [0, 2, 1]
    """
    queries, bits = _packed(query_codes, "query_codes")
    database, columns = _packed(database_codes, "database_codes")
    if columns != bits:
        raise UsageError(f"database_codes: expected {bits} bits as in query_codes, found {columns}")
    workers, how = as_count(threads, "threads"), choice(Kernel, kernel, "kernel")
    counts = _all_pairs(queries, database, bits, workers, how)
    if query_groups is None and database_groups is None:
        return counts
    first = _groups(query_groups, queries, "query_groups")
    second = _groups(database_groups, database, "database_groups")
    if (first.dtype.kind == "U") != (second.dtype.kind == "U"):
        raise UsageError("database_groups: expected numbers or texts as in query_groups")
    _, numbers = np.unique(np.concatenate([first, second]), return_inverse=True)
    own, others = numbers[: first.size], numbers[first.size :]
    sizes = [np.bincount(part, minlength=numbers.size) for part in (own, others)]
    large = sizes[0] * sizes[1] >= _LARGE_GROUP
    for group in np.flatnonzero(large).tolist():
        members = queries[own == group], database[others == group]
        counts -= _all_pairs(*members, bits, workers, how)
    few = np.flatnonzero(~large[own])
    for query, item in _equal_pairs(own[few], others):
        distances = _distances(queries[few[query]], database[item])
        counts -= np.bincount(distances, minlength=bits + 1)
    return counts


def pair_distances(first: Any, second: Any) -> Ints:
    """The Hamming distance of each row to the same row of another table, int64 ``(n,)``.

    Args:
        first: ``(n, K)`` of -1 and +1, or bool; an array or a tensor; n may be 0.
        second: ``(n, K)``, in the same form or in the other one.

    Raises:
        ValueError: names the argument, what was expected and what was found.

    Examples:
        >>> pair_distances([[1, 1], [1, -1]], [[1, 1], [-1, 1]]).tolist()
        [0, 2]
    """
    one, other = as_matrix(first, "first"), as_matrix(second, "second")
    same_rows(one, other, "first", "second")
    same_columns(one, other, "first", "second", "bits")
    return _distances(_packed(one, "first")[0], _packed(other, "second")[0])


def _packed(codes: Any, argument: str) -> tuple[Bytes, int]:
    """Packed codes, and how many bits they have."""
    array = as_matrix(codes, argument)
    bits = array.shape[1]
    if bits > MOST_BITS:
        raise UsageError(f"{argument}: expected 1 to {MOST_BITS:,} bits, found shape {array.shape}")
    # The bits of a bool code are packed as those of labels are; both check their values.
    to_bytes = labels_to_bytes if array.dtype == np.bool_ else codes_to_bytes
    if array.dtype == np.uint8:
        raise UsageError(
            f"{argument}: expected -1 and +1 or bool, found uint8; packed codes do not say how "
            "many bits they have, unpack_codes does"
        )
    return to_bytes(array, argument, bits), bits


def _groups(groups: Any, codes: Bytes, argument: str) -> Array:
    """The groups of all rows, as one array."""
    array: Array = np.asarray([] if groups is None else groups)
    if groups is None or array.shape != codes.shape[:1]:
        raise UsageError(
            f"{argument}: expected one group for each of {codes.shape[0]} codes, found "
            f"{'none' if groups is None else f'shape {array.shape}'}"
        )
    if array.size and array.dtype.kind not in "iuU":
        raise UsageError(f"{argument}: expected whole numbers or texts, found type {array.dtype}")
    return array


def _all_pairs(queries: Bytes, database: Bytes, bits: int, threads: int, kernel: Kernel) -> Ints:
    """`distance_histogram` without groups."""
    counts: Ints = np.zeros(bits + 1, dtype=np.int64)
    if not (len(queries) and len(database)):
        return counts
    width = 2 * (bits + 1)
    step = max(1, min(_BLOCK_COUNTS // width, -(-len(queries) // threads)))
    blocks = [queries[start : start + step] for start in range(0, len(queries), step)]
    count = counter(kernel, len(queries) * len(database))
    # No label at all: nothing is relevant, and all queries are one group.
    unlabelled: Bytes = np.zeros((len(database), 1), dtype=np.uint8)

    def counted(block: Bytes) -> Ints:
        keys: Ints = np.zeros((len(block), width), dtype=np.int64)
        asked = group_queries(block, np.zeros((len(block), 1), dtype=np.uint8), bits)
        count(asked, database, unlabelled, keys)
        total: Ints = keys[:, : bits + 1].sum(axis=0)
        return total

    if threads == 1 or len(blocks) == 1:
        return sum(map(counted, blocks), start=counts)
    with ThreadPoolExecutor(min(threads, len(blocks))) as pool:
        return sum(pool.map(counted, blocks), start=counts)


def _equal_pairs(first: Ints, second: Ints) -> Iterator[tuple[Ints, Ints]]:
    """Rows of both sides whose values are equal, all pairs, a bounded number at a time."""
    order = np.argsort(second, kind="stable")
    ordered = second[order]
    end = np.searchsorted(ordered, first, side="right")
    past = np.cumsum(end - np.searchsorted(ordered, first, side="left"))
    total = int(past[-1]) if past.size else 0
    for start in range(0, total, _BLOCK_PAIRS):
        pair = np.arange(start, min(total, start + _BLOCK_PAIRS))
        row = np.searchsorted(past, pair, side="right")
        yield row, order[end[row] - past[row] + pair]


def _distances(first: Bytes, second: Bytes) -> Ints:
    """Distances of packed rows, row by row."""
    found: Ints = np.bitwise_count(first ^ second).sum(axis=1, dtype=np.int64)
    return found
