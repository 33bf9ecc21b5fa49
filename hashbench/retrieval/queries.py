"""Queries as the counting loops want them: packed, and grouped by label row."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from hashbench.retrieval.checks import Array
from hashbench.retrieval.harmonic import Ints
from hashbench.retrieval.packing import Bytes, to_words


@dataclass(frozen=True)
class QueryGroup:
    """Queries that share one label row.

    Attributes:
        row: uint8 ``(ceil(C / 8),)``, the packed label row.
        classes: int64, positions of the row's labels in the list of all used classes.
        members: int64, the queries' positions.
    """

    row: Bytes
    classes: Ints
    members: Ints


@dataclass(frozen=True)
class Queries:
    """Packed query codes and their grouping by label row.

    Attributes:
        bits: K, the length of a code.
        packed: uint8 ``(Q, ceil(K / 8))``, the codes.
        labels: uint8 ``(Q, ceil(C / 8))``, the label rows.
        words: one unsigned array ``(Q,)`` per machine word of a code.
        used_classes: int64, the classes that occur in any query's labels.
        groups: one per distinct label row.
    """

    bits: int
    packed: Bytes
    labels: Bytes
    words: list[Array]
    used_classes: Ints
    groups: list[QueryGroup]

    @property
    def count(self) -> int:
        """Number of queries."""
        return int(self.packed.shape[0])

    @property
    def key_type(self) -> type[np.uint8] | type[np.uint16]:
        """The smallest type that holds ``distance + relevant * (K + 1)``."""
        return np.uint8 if 2 * self.bits + 1 < 256 else np.uint16

    def split(self, parts: int) -> list[Queries]:
        """The same queries in up to ``parts`` lots of about equal size, whole groups each."""
        sizes = np.cumsum([group.members.size for group in self.groups])
        edges = np.searchsorted(sizes, sizes[-1] * np.arange(1, parts) / parts) + 1
        bounds = [0, *edges.tolist(), len(self.groups)]
        lots = [self.groups[a:b] for a, b in pairwise(bounds)]
        return [replace(self, groups=lot) for lot in lots if lot]


def group_queries(codes: Bytes, labels: Bytes, bits: int) -> Queries:
    """Queries of packed codes and labels, one row each."""
    rows, inverse = np.unique(labels, axis=0, return_inverse=True)
    unpacked = np.unpackbits(rows, axis=1, bitorder="little")
    used = np.flatnonzero(unpacked.any(axis=0))
    order = np.argsort(inverse.ravel(), kind="stable")
    edges = np.cumsum(np.bincount(inverse.ravel()))[:-1]
    groups = [
        QueryGroup(row, np.flatnonzero(bits_of_row[used]), members)
        for row, bits_of_row, members in zip(rows, unpacked, np.split(order, edges), strict=True)
    ]
    return Queries(bits, codes, labels, to_words(codes), used, groups)


def batches(groups: list[QueryGroup], most: int) -> Iterator[list[tuple[QueryGroup, list[int]]]]:
    """Groups with some or all of their members, so that at most ``most`` queries are in a batch."""
    batch: list[tuple[QueryGroup, list[int]]] = []
    room = most
    for group in groups:
        left = group.members.tolist()
        while left:
            batch.append((group, left[:room]))
            left, room = left[room:], max(0, room - len(left))
            if room == 0:
                yield batch
                batch, room = [], most
    if batch:
        yield batch
