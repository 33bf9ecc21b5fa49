"""A database of packed codes and labels, in memory or in files, passed over part by part."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from hashbench.errors import UsageError
from hashbench.retrieval.checks import Array, as_matrix, same_rows
from hashbench.retrieval.compiled import counter
from hashbench.retrieval.harmonic import Ints
from hashbench.retrieval.options import Kernel
from hashbench.retrieval.packing import (
    Bytes,
    byte_width,
    codes_to_bytes,
    is_packed,
    labels_to_bytes,
)
from hashbench.retrieval.queries import Queries
from hashbench.retrieval.stable import Hits, stable_hits
from hashbench.retrieval.tally import Tally

# Items that are packed and counted at once.
PART_ITEMS: Final = 1 << 18


@dataclass(frozen=True)
class Shard:
    """One part of a database, in database order.

    Attributes:
        codes: ``(n, K)`` of -1 and +1, or packed ``uint8 (n, ceil(K / 8))``; an array, a tensor,
            or the path of an ``.npy`` file, which is opened as a memory map.
        labels: 0/1 ``(n, C)``, or ``uint8 (n, ceil(C / 8))`` packed in the same way.
    """

    codes: Any
    labels: Any


@dataclass(frozen=True)
class OpenShard:
    """A shard whose arrays have been opened and whose shapes fit; values are checked when read."""

    codes: Array
    labels: Array
    name: str

    def parts(self, bits: int, classes: int) -> Iterator[tuple[Bytes, Bytes]]:
        """Packed codes and labels of up to 2^18 items at a time."""
        for start in range(0, self.codes.shape[0], PART_ITEMS):
            part = slice(start, start + PART_ITEMS)
            yield (
                codes_to_bytes(self.codes[part], f"{self.name}codes", bits),
                labels_to_bytes(self.labels[part], f"{self.name}labels", classes),
            )


@dataclass(frozen=True)
class PackedDatabase:
    """Shards in database order; the source of histograms and of stable rankings.

    Attributes:
        shards: what `open_shards` returned.
        bits: K.
        classes: C.
        threads: how many share the queries.
        kernel: what counts; the counts are the same.
    """

    shards: Sequence[OpenShard]
    bits: int
    classes: int
    threads: int = 1
    kernel: Kernel = Kernel.AUTO

    @property
    def items(self) -> int:
        """Items of all shards."""
        return sum(shard.codes.shape[0] for shard in self.shards)

    def tally(self, queries: Queries) -> Tally:
        """Items per query and distance, over all shards."""
        width = self.bits + 1
        keys: Ints = np.zeros((queries.count, 2 * width), dtype=np.int64)
        lots = queries.split(self.threads)
        count = counter(self.kernel, queries.count * self.items)
        with ThreadPoolExecutor(len(lots)) as pool:
            for codes, labels in self.parts():
                # Every lot adds to rows of its own; the last one is counted by this thread.
                jobs = [pool.submit(count, lot, codes, labels, keys) for lot in lots[:-1]]
                count(lots[-1], codes, labels, keys)
                for job in jobs:
                    job.result()
        relevant = keys[:, width:]
        return Tally(keys[:, :width] + relevant, relevant)

    def stable_hits(self, queries: Queries, tally: Tally, length: int) -> Iterator[Hits]:
        """See `hashbench.retrieval.stable.stable_hits`."""
        return stable_hits(queries, self.parts(), tally, length)

    def parts(self) -> Iterator[tuple[Bytes, Bytes]]:
        """Packed codes and labels of all shards, a bounded number of items at a time."""
        for shard in self.shards:
            yield from shard.parts(self.bits, self.classes)


def open_shards(database: Shard | Sequence[Shard], bits: int, classes: int) -> list[OpenShard]:
    """The arrays of all shards, with shapes that fit ``bits`` and ``classes``.

    Raises:
        ValueError: names the shard, what was expected and what was found; also for a database
            without any item.
    """
    if isinstance(database, Shard):
        opened = [_open(database, "database_", bits, classes)]
    else:
        opened = [
            _open(shard, f"shards[{number}].", bits, classes)
            for number, shard in enumerate(database)
        ]
    if sum(shard.codes.shape[0] for shard in opened) == 0:
        raise UsageError("database_codes: expected at least one item, found an empty database")
    return opened


def _open(shard: Shard, name: str, bits: int, classes: int) -> OpenShard:
    codes = as_matrix(load_array(shard.codes, f"{name}codes"), f"{name}codes")
    labels = as_matrix(load_array(shard.labels, f"{name}labels"), f"{name}labels")
    for array, columns, what, wanted in (
        (codes, bits, "codes", f"{bits} bits as in query_codes"),
        (labels, classes, "labels", f"{classes} classes as in query_labels"),
    ):
        if array.shape[1] != columns and not is_packed(array, columns):
            raise UsageError(
                f"{name}{what}: expected {wanted}, or uint8 with {byte_width(columns)} packed "
                f"bytes, found {array.dtype} of shape {array.shape}"
            )
    same_rows(codes, labels, f"{name}codes", f"{name}labels")
    return OpenShard(codes, labels, name)


def load_array(value: Any, argument: str) -> Any:
    """The array in an ``.npy`` file, as a memory map; what is no path comes back as it is."""
    if not isinstance(value, str | Path):
        return value
    try:
        loaded = np.load(value, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise UsageError(f"{argument}: expected a readable .npy file, found {error}") from error
    if not isinstance(loaded, np.ndarray):
        raise UsageError(f"{argument}: expected one array in an .npy file, found {value}")
    return loaded
