"""Which items of a database share a label with a query: bits and bytes per group of queries."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hashbench.retrieval.checks import Array, Bools
from hashbench.retrieval.packing import Bytes
from hashbench.retrieval.queries import Queries, QueryGroup


class GroupMasks:
    """For each group of queries ``K + 1`` where an item shares a label with it, else 0.

    Args:
        queries: whose groups will be asked for.
        labels: packed label rows of n items.
    """

    def __init__(self, queries: Queries, labels: Bytes) -> None:
        self._masks = class_masks(queries, labels)
        self._merged = np.empty(self._masks.shape[1], dtype=np.uint8)
        self._scaled: Array = np.empty(labels.shape[0], dtype=queries.key_type)
        self._relevant = queries.key_type(queries.bits + 1)

    def of(self, group: QueryGroup) -> Array:
        """The mask ``(n,)`` of one group; the array is overwritten for the next one."""
        self._merged.fill(0)
        for position in group.classes.tolist():
            np.bitwise_or(self._merged, self._masks[position], out=self._merged)
        shared = np.unpackbits(self._merged, count=self._scaled.size, bitorder="little")
        np.multiply(shared, self._relevant, out=self._scaled)
        return self._scaled


def relevance(queries: Queries, labels: Bytes) -> Iterator[tuple[QueryGroup, Bools]]:
    """Each group with True where an item shares a label with it, array ``(n,)``.

    Unlike `GroupMasks` it needs no memory per class, so it is fit for many items at a time.
    """
    columns = np.ascontiguousarray(labels.T)
    for group in queries.groups:
        shared = np.zeros(labels.shape[0], dtype=np.uint8)
        for byte in np.flatnonzero(group.row).tolist():
            shared |= columns[byte] & group.row[byte]
        yield group, shared != 0


def class_masks(queries: Queries, labels: Bytes) -> Bytes:
    """A set bit where an item has a class: one row ``(ceil(n / 8),)`` per used class."""
    return bit_rows(labels, queries.used_classes.tolist(), width=-(-labels.shape[0] // 8))


def bit_rows(packed: Bytes, values: list[int], *, width: int) -> Bytes:
    """Some values of packed rows ``(n, B)``, as one row of bits per value.

    Args:
        packed: the packed rows.
        values: which values, by their position in an unpacked row.
        width: bytes of a row of the result, at least ``ceil(n / 8)``.

    Returns:
        uint8 ``(len(values), width)``: bit i is that of item i, the rest is 0.
    """
    columns = np.ascontiguousarray(packed.T)
    used = -(-packed.shape[0] // 8)
    rows = np.zeros((len(values), width), dtype=np.uint8)
    for row, value in zip(rows, values, strict=True):
        bit = columns[value // 8] & np.uint8(1 << (value % 8))
        row[:used] = np.packbits(bit, bitorder="little")
    return rows
