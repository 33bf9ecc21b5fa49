"""The inner loops: Hamming distance and relevance of packed items, counted per query.

Tiles of the database stay in the cache while all queries pass over them; queries with equal labels
share one relevance mask per tile. Nothing here grows with the database.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from hashbench.retrieval.checks import Array, Bools
from hashbench.retrieval.harmonic import Ints
from hashbench.retrieval.packing import Bytes, to_words

# Large enough that the calls per tile cost little beside the counting, and that threads wait for
# the interpreter less than they count; small enough that the class masks take 16 MB at most.
_TILE_ITEMS: Final = 1 << 18
_TILE_MASK_BYTES: Final = 1 << 24
_LEAST_TILE: Final = 1 << 10
# numpy counts the bits of bytes with vector instructions, those of words one word at a time. Up to
# this many bytes per code, counting byte by byte and adding up is the faster way.
_MOST_PLANES: Final = 5


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


def count_keys(queries: Queries, codes: Bytes, labels: Bytes, out: Ints) -> None:
    """Add up how often ``distance + relevant * (K + 1)`` takes each value.

    Args:
        queries: what to compare with.
        codes: packed codes of n items.
        labels: their packed labels.
        out: int64 ``(Q, 2 * (K + 1))``, added to in the rows of the queries' groups.
    """
    for tile in tiles(queries, codes.shape[0]):
        buffer = DistanceBuffer(queries, codes[tile])
        keys = buffer.result
        count = _histogram_of(keys, out.shape[1])
        for group, mask in group_masks(queries, labels[tile]):
            for query in group.members.tolist():
                buffer.fill(query)
                np.add(keys, mask, out=keys)
                out[query] += count()


def tiles(queries: Queries, items: int) -> Iterator[slice]:
    """Slices that cover ``items`` in steps whose class masks stay small."""
    most = 8 * _TILE_MASK_BYTES // max(1, queries.used_classes.size)
    step = max(_LEAST_TILE, min(_TILE_ITEMS, most))
    for start in range(0, items, step):
        yield slice(start, min(items, start + step))


class DistanceBuffer:
    """Distances from one query at a time to fixed items, in memory that is allocated once.

    Args:
        queries: whose distances will be asked for.
        codes: packed codes of the n items.

    Attributes:
        result: unsigned ``(n,)``, the distances from the query that was asked for last.
    """

    def __init__(self, queries: Queries, codes: Bytes) -> None:
        self.result: Array = np.empty(codes.shape[0], dtype=queries.key_type)
        bytewise = codes.shape[1] <= _MOST_PLANES
        self._sources = _Planes(queries, codes) if bytewise else _Words(queries, codes)

    def fill(self, query: int) -> None:
        """Compute the distances from one query."""
        self._sources.fill(query, self.result)


class _Planes:
    """Codes as one row per byte position."""

    def __init__(self, queries: Queries, codes: Bytes) -> None:
        self._asked = queries.packed[:, :, None]
        self._planes = np.ascontiguousarray(codes.T)
        self._xor = np.empty_like(self._planes)

    def fill(self, query: int, result: Array) -> None:
        np.bitwise_xor(self._planes, self._asked[query], out=self._xor)
        np.bitwise_count(self._xor, out=self._xor)
        np.add.reduce(self._xor, axis=0, dtype=result.dtype, out=result)


class _Words:
    """Codes as one array per machine word."""

    def __init__(self, queries: Queries, codes: Bytes) -> None:
        self._first, *self._others = [
            (asked, word, np.empty_like(word))
            for asked, word in zip(queries.words, to_words(codes), strict=True)
        ]
        self._count = np.empty(codes.shape[0], dtype=np.uint8)

    def fill(self, query: int, result: Array) -> None:
        asked, words, xor = self._first
        np.bitwise_xor(words, asked[query], out=xor)
        np.bitwise_count(xor, out=result)
        for asked, words, xor in self._others:
            np.bitwise_xor(words, asked[query], out=xor)
            np.bitwise_count(xor, out=self._count)
            np.add(result, self._count, out=result)


def group_masks(queries: Queries, labels: Bytes) -> Iterator[tuple[QueryGroup, Array]]:
    """Each group with ``K + 1`` where an item shares a label with it, else 0, array ``(n,)``.

    The array is overwritten for the next group.
    """
    masks = _class_masks(queries, labels)
    items = labels.shape[0]
    merged = np.empty(masks.shape[1], dtype=np.uint8)
    scaled = np.empty(items, dtype=queries.key_type)
    for group in queries.groups:
        merged.fill(0)
        for position in group.classes.tolist():
            np.bitwise_or(merged, masks[position], out=merged)
        shared = np.unpackbits(merged, count=items, bitorder="little")
        np.multiply(shared, queries.key_type(queries.bits + 1), out=scaled)
        yield group, scaled


def relevance(queries: Queries, labels: Bytes) -> Iterator[tuple[QueryGroup, Bools]]:
    """Each group with True where an item shares a label with it, array ``(n,)``.

    Unlike `group_masks` it needs no memory per class, so it is fit for many items at a time.
    """
    columns = np.ascontiguousarray(labels.T)
    for group in queries.groups:
        shared = np.zeros(labels.shape[0], dtype=np.uint8)
        for byte in np.flatnonzero(group.row).tolist():
            shared |= columns[byte] & group.row[byte]
        yield group, shared != 0


def _class_masks(queries: Queries, labels: Bytes) -> Bytes:
    """A set bit where an item has a class: one row ``(ceil(n / 8),)`` per used class."""
    columns = np.ascontiguousarray(labels.T)
    masks = np.empty((queries.used_classes.size, -(-labels.shape[0] // 8)), dtype=np.uint8)
    for row, label in zip(masks, queries.used_classes.tolist(), strict=True):
        bit = columns[label // 8] & np.uint8(1 << (label % 8))
        row[:] = np.packbits(bit, bitorder="little")
    return masks


def _histogram_of(keys: Array, bins: int) -> Callable[[], npt.NDArray[Any]]:
    """A function that counts how often each value below ``bins`` stands in ``keys`` by then."""
    # numpy converts small integers to int64 before it counts, torch counts them as they are, twice
    # as fast. It is used only where the program has loaded it anyway; the counts are the same.
    torch: Any = sys.modules.get("torch")
    if not hasattr(torch, "bincount"):
        return lambda: np.bincount(keys, minlength=bins)
    tensor = torch.from_numpy(keys if keys.dtype == np.uint8 else keys.view(np.int16))
    return lambda: tensor.bincount(minlength=bins).numpy()
