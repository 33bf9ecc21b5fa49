"""The inner loops: Hamming distance and relevance of packed items, counted per query.

Tiles of the database stay in the cache while all queries pass over them; queries with equal labels
share one relevance mask per tile. Nothing here grows with the database.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Final, cast

import numpy as np
import numpy.typing as npt

from hashbench.retrieval.checks import Array, Bools
from hashbench.retrieval.harmonic import Ints
from hashbench.retrieval.packing import Bytes, to_words

# A tile's words and class masks fit into the caches. Its keys are few enough that torch does not
# spread a reduction of them over threads of its own.
_TILE_ITEMS: Final = (1 << 15) - 64
_TILE_MASK_BYTES: Final = 1 << 23
_LEAST_TILE: Final = 1 << 10


@dataclass(frozen=True)
class QueryGroup:
    """Queries that share one label row.

    Attributes:
        classes: int64, positions of the row's labels in the list of all used classes.
        members: int64, the queries' positions.
    """

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
        QueryGroup(np.flatnonzero(row[used]), members)
        for row, members in zip(unpacked, np.split(order, edges), strict=True)
    ]
    return Queries(bits, codes, labels, to_words(codes), used, groups)


def count_keys(queries: Queries, codes: Bytes, labels: Bytes, out: Ints) -> None:
    """Add up how often ``distance + relevant * (K + 1)`` takes each value.

    Args:
        queries: what to compare with.
        codes: packed codes of n items.
        labels: their packed labels.
        out: int64 ``(Q, 2 * (K + 1))``, added to in the rows of the queries' groups.
    """
    for tile in tiles(queries, codes.shape[0]):
        buffer = DistanceBuffer(queries, to_words(codes[tile]))
        for group, mask in group_masks(queries, labels[tile]):
            for query in group.members.tolist():
                key = buffer.distances(query)
                np.add(key, mask, out=key)
                out[query] += _histogram(key, out.shape[1])


def tiles(queries: Queries, items: int) -> Iterator[slice]:
    """Slices that cover ``items`` in steps whose words and masks fit into a cache."""
    masks = max(1, queries.used_classes.size) * np.dtype(queries.key_type).itemsize
    step = max(_LEAST_TILE, min(_TILE_ITEMS, _TILE_MASK_BYTES // masks))
    for start in range(0, items, step):
        yield slice(start, min(items, start + step))


class DistanceBuffer:
    """Distances from one query at a time to fixed items, in memory that is allocated once."""

    def __init__(self, queries: Queries, words: list[Array]) -> None:
        self._pairs = list(zip(queries.words, words, strict=True))
        self._xor = [np.empty_like(word) for word in words]
        self._count = np.empty(words[0].shape, dtype=np.uint8)
        self._sum = np.empty(words[0].shape, dtype=queries.key_type)

    def distances(self, query: int) -> Array:
        """Distances ``(n,)`` from one query; the next call overwrites them."""
        for (query_words, words), xor in zip(self._pairs, self._xor, strict=True):
            np.bitwise_xor(words, query_words[query], out=xor)
            if words is self._pairs[0][1]:
                np.bitwise_count(xor, out=self._sum)
            else:
                np.bitwise_count(xor, out=self._count)
                np.add(self._sum, self._count, out=self._sum)
        return self._sum


def group_masks(queries: Queries, labels: Bytes) -> Iterator[tuple[QueryGroup, Array]]:
    """Each group with ``K + 1`` where an item shares a label with it, else 0, array ``(n,)``.

    The array is overwritten for the next group.
    """
    masks = _class_masks(queries, labels)
    merged = np.empty(labels.shape[0], dtype=queries.key_type)
    for group in queries.groups:
        first, *others = group.classes.tolist() or [None]
        if first is None:
            merged.fill(0)
        elif not others:
            yield group, masks[first]
            continue
        else:
            np.bitwise_or(masks[first], masks[others[0]], out=merged)
            for position in others[1:]:
                np.bitwise_or(merged, masks[position], out=merged)
        yield group, merged


def relevance(queries: Queries, labels: Bytes) -> Iterator[tuple[QueryGroup, Bools]]:
    """Each group with True where an item shares a label with it, array ``(n,)``."""
    for group, mask in group_masks(queries, labels):
        yield group, mask != 0


def _class_masks(queries: Queries, labels: Bytes) -> Array:
    """``K + 1`` where an item has a class, else 0: one row ``(n,)`` per used class."""
    columns = np.ascontiguousarray(labels.T)
    masks = np.empty((queries.used_classes.size, labels.shape[0]), dtype=queries.key_type)
    for row, label in zip(masks, queries.used_classes.tolist(), strict=True):
        bit = columns[label // 8] & np.uint8(1 << (label % 8))
        np.multiply(bit != 0, queries.key_type(queries.bits + 1), out=row)
    return masks


def _histogram(keys: Array, bins: int) -> npt.NDArray[Any]:
    # numpy converts small integers to int64 before it counts, torch counts them as they are, twice
    # as fast. It is used only where the program has loaded it anyway; the counts are the same.
    torch = sys.modules.get("torch")
    if not hasattr(torch, "bincount"):
        return np.bincount(keys, minlength=bins)
    signed = keys if keys.dtype == np.uint8 else keys.view(np.int16)
    tensor = cast(Any, torch).from_numpy(signed)
    counted: npt.NDArray[Any] = tensor.bincount(minlength=bins).numpy()
    return counted
