"""The inner loops: Hamming distance and relevance of packed items, counted per query.

Tiles of the database stay in the cache while all queries pass over them; queries with equal labels
share one relevance mask per tile. Nothing here grows with the database.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from hashbench.retrieval.checks import Array
from hashbench.retrieval.harmonic import Ints
from hashbench.retrieval.histogram import histogram
from hashbench.retrieval.masks import GroupMasks
from hashbench.retrieval.packing import Bytes, to_words
from hashbench.retrieval.queries import Queries, batches

# Large enough that the calls per tile cost little beside the counting, and that threads wait for
# the interpreter less than they count; small enough that the class masks take 16 MB at most.
_TILE_ITEMS: Final = 1 << 18
_TILE_MASK_BYTES: Final = 1 << 24
_LEAST_TILE: Final = 1 << 10
# Bytes of codes that some queries are compared with before the next ones are read. With what is
# computed from them they fit into a second-level cache of 1 MB: the third level of some processors
# is so slow that reading a tile from there for each query takes as long as counting.
_BLOCK_BYTES: Final = 1 << 18
# Queries that share one reading of a block; their distances wait in 4 MB, or 8 for long codes.
_BATCH_QUERIES: Final = 16
# numpy counts the bits of bytes with vector instructions, those of words one word at a time. Up to
# this many bytes per code, counting byte by byte and adding up is the faster way.
_MOST_PLANES: Final = 5


def count_keys(queries: Queries, codes: Bytes, labels: Bytes, out: Ints) -> None:
    """Add up how often ``distance + relevant * (K + 1)`` takes each value.

    Args:
        queries: what to compare with.
        codes: packed codes of n items.
        labels: their packed labels.
        out: int64 ``(Q, 2 * (K + 1))``, added to in the rows of the queries' groups.
    """
    for tile in tiles(queries, codes.shape[0]):
        part = codes[tile]
        blocks = [(block, DistanceBuffer(queries, part[block])) for block in _blocks(part)]
        keys: Array = np.empty((_BATCH_QUERIES, part.shape[0]), dtype=queries.key_type)
        masks = GroupMasks(queries, labels[tile])
        for batch in batches(queries.groups, _BATCH_QUERIES):
            asked = [query for _, members in batch for query in members]
            for block, buffer in blocks:
                for query, row in zip(asked, keys, strict=False):
                    buffer.fill(query, row[block])
            rows = iter(keys)
            for group, members in batch:
                mask = masks.of(group)
                for query, row in zip(members, rows, strict=False):
                    np.add(row, mask, out=row)
                    out[query] += histogram(row, out.shape[1])


def tiles(queries: Queries, items: int) -> Iterator[slice]:
    """Slices that cover ``items`` in steps whose class masks stay small."""
    most = 8 * _TILE_MASK_BYTES // max(1, queries.used_classes.size)
    step = max(_LEAST_TILE, min(_TILE_ITEMS, most))
    for start in range(0, items, step):
        yield slice(start, min(items, start + step))


def _blocks(codes: Bytes) -> Iterator[slice]:
    step = max(_LEAST_TILE, _BLOCK_BYTES // codes.shape[1])
    for start in range(0, codes.shape[0], step):
        yield slice(start, min(codes.shape[0], start + step))


class DistanceBuffer:
    """Distances from one query at a time to fixed items, in memory that is allocated once.

    Args:
        queries: whose distances will be asked for.
        codes: packed codes of the n items.
    """

    def __init__(self, queries: Queries, codes: Bytes) -> None:
        bytewise = codes.shape[1] <= _MOST_PLANES
        self._sources = _Planes(queries, codes) if bytewise else _Words(queries, codes)

    def fill(self, query: int, result: Array) -> None:
        """Compute the distances from one query into ``(n,)`` of the queries' key type."""
        self._sources.fill(query, result)


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
