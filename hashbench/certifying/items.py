"""A database as its distinct codes: a trained model gives few, however many items it encodes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hashbench.retrieval.checks import Array, Bools
from hashbench.retrieval.harmonic import Ints
from hashbench.retrieval.masks import relevance
from hashbench.retrieval.packing import Bytes, to_words
from hashbench.retrieval.queries import Queries

Row = NDArray[np.int8]
"""A code `(K,)` of +1 and -1, and 0 in the place of a bit that is uncertain."""


@dataclass(frozen=True)
class CodeCounts:
    """Distinct codes, and how many items have each.

    Attributes:
        words: one unsigned array `(D,)` per machine word of a code.
        counts: int64 `(D,)`, at least 1.
    """

    words: list[Array]
    counts: Ints

    @property
    def items(self) -> int:
        """Number of items."""
        return int(self.counts.sum())

    def distances(self, row: Row) -> Ints:
        """Bits of each code that differ from a row `(K,)` of +1, -1 and 0, which is not compared.

        Returns:
            int64 `(D,)`.
        """
        wanted, proven = (
            to_words(np.packbits(bits[None], axis=1, bitorder="little"))
            for bits in (row > 0, row != 0)
        )
        found = np.zeros(self.counts.size, dtype=np.int64)
        for word, code, mask in zip(self.words, wanted, proven, strict=True):
            found += np.bitwise_count((word ^ code[0]) & mask[0])
        return found

    def code(self, index: int, bits: int) -> Row:
        """One of the codes, int8 `(bits,)` of +1 and -1."""
        values = [(int(self.words[at // 64][index]) >> (at % 64)) & 1 for at in range(bits)]
        return (2 * np.array(values) - 1).astype(np.int8)

    def planes(self, positions: Ints) -> Row:
        """Some bits of each code, 1 for +1 and 0 for -1; int8 `(bits, D)`."""
        planes: Row = np.empty((positions.size, self.counts.size), dtype=np.int8)
        for plane, position in zip(planes, positions.tolist(), strict=True):
            word = self.words[position // 64]
            plane[:] = (word >> word.dtype.type(position % 64)) & word.dtype.type(1)
        return planes


@dataclass(frozen=True)
class DistinctItems:
    """The distinct pairs of a code and a label row of a database.

    Attributes:
        codes: uint8 `(D, ceil(K / 8))`, the distinct codes, packed.
        code_of: int64 `(P,)`, the code of each pair.
        labels: uint8 `(P, ceil(C / 8))`, the label row of each pair, packed.
        counts: int64 `(P,)`, items of each pair.
    """

    codes: Bytes
    code_of: Ints
    labels: Bytes
    counts: Ints

    @classmethod
    def of(cls, parts: Iterable[tuple[Bytes, Bytes]]) -> DistinctItems:
        """The pairs of packed codes and packed labels, which may come in parts.

        Memory grows with the distinct pairs and with one part, not with the database.
        """
        pairs, counts, width = None, np.zeros(0, dtype=np.int64), 0
        for codes, labels in parts:
            width = codes.shape[1]
            rows = np.concatenate([codes, labels], axis=1)
            weights = np.ones(len(rows), dtype=np.int64)
            if pairs is not None:
                rows, weights = np.concatenate([pairs, rows]), np.concatenate([counts, weights])
            pairs, inverse = np.unique(rows, axis=0, return_inverse=True)
            # Sums of whole numbers below 2^53: exact in float64.
            counts = np.bincount(inverse.ravel(), weights=weights).astype(np.int64)
        if pairs is None:
            raise ValueError("parts: expected at least one")
        distinct, code_of = np.unique(pairs[:, :width], axis=0, return_inverse=True)
        return cls(distinct, code_of.ravel(), np.ascontiguousarray(pairs[:, width:]), counts)

    @property
    def items(self) -> int:
        """Number of items of the database."""
        return int(self.counts.sum())

    def by_relevance(self, queries: Queries) -> Iterator[tuple[Ints, CodeCounts, CodeCounts]]:
        """For each group of queries with one label row: who they are, and the two kinds of items.

        Yields:
            int64 positions of the queries; the items that share a label with them; the others.
        """
        words = to_words(self.codes)
        for group, shared in relevance(queries, self.labels):
            yield group.members, self._chosen(words, shared), self._chosen(words, ~shared)

    def _chosen(self, words: list[Array], pairs: Bools) -> CodeCounts:
        counts = np.bincount(
            self.code_of[pairs], weights=self.counts[pairs], minlength=len(self.codes)
        ).astype(np.int64)
        used = np.flatnonzero(counts)
        return CodeCounts([word[used] for word in words], counts[used])
