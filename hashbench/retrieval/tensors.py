"""The same histograms and rankings by matrix products of tensors: for GPUs.

torch has no popcount, but its products of -1/+1 matrices are exact. Imports torch, and is itself
imported only where a scorer is asked for a device.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch

from hashbench.retrieval.database import PackedDatabase
from hashbench.retrieval.packing import Bytes
from hashbench.retrieval.queries import Queries
from hashbench.retrieval.stable import Hits, Ranks
from hashbench.retrieval.tally import Tally

# Query-item pairs worked on together; sorting them takes some 30 bytes for each.
_BLOCK_PAIRS: Final = 1 << 22


@dataclass(frozen=True)
class TensorDatabase:
    """A database whose codes and labels are multiplied on a device.

    What comes from the host is packed, so that little has to be moved and values are checked as
    everywhere.

    Attributes:
        packed: the database.
        device: where the products are computed.
    """

    packed: PackedDatabase
    device: torch.device

    def tally(self, queries: Queries) -> Tally:
        """Items per query and distance, over all shards."""
        width = self.packed.bits + 1
        keys = torch.zeros((queries.count, 2 * width), dtype=torch.int64, device=self.device)
        for rows, distance, relevant in self._pairs(queries):
            row = torch.arange(distance.shape[0], device=self.device)[:, None]
            key = distance + width * relevant + 2 * width * row
            counts = torch.bincount(key.reshape(-1), minlength=2 * width * distance.shape[0])
            keys[rows] += counts.reshape(-1, 2 * width)
        counted = keys.cpu().numpy()
        relevant_items = counted[:, width:]
        return Tally(counted[:, :width] + relevant_items, relevant_items)

    def stable_hits(self, queries: Queries, tally: Tally, length: int) -> Iterator[Hits]:
        """See `hashbench.retrieval.stable.stable_hits`."""
        ranks = Ranks(tally, length)
        for rows, distance, relevant in self._pairs(queries):
            near, order = torch.sort(distance.to(torch.int16), dim=1, stable=True)
            found = relevant.gather(1, order)
            for query, row, hit in zip(
                range(rows.start, rows.stop), near.cpu().numpy(), found.cpu().numpy(), strict=True
            ):
                last = int(ranks.last[query])
                nearer, up_to = np.searchsorted(row, [last, last + 1]).tolist()
                keep = nearer + min(up_to - nearer, ranks.room(query))
                yield ranks.take(query, row[:keep], np.flatnonzero(hit[:keep]))

    def _pairs(self, queries: Queries) -> Iterator[tuple[slice, torch.Tensor, torch.Tensor]]:
        """Some queries, their distances to some items (int64) and which are relevant (bool)."""
        bits, classes = self.packed.bits, self.packed.classes
        asked = 2 * self._bits(queries.packed, bits) - 1
        asked_labels = self._bits(queries.labels, classes)
        for part, part_labels in self.packed.parts():
            items, labels = 2 * self._bits(part, bits) - 1, self._bits(part_labels, classes)
            step = max(1, _BLOCK_PAIRS // max(1, items.shape[0]))
            for start in range(0, queries.count, step):
                rows = slice(start, min(queries.count, start + step))
                distance = ((bits - asked[rows] @ items.T) / 2).to(torch.int64)
                yield rows, distance, asked_labels[rows] @ labels.T > 0

    def _bits(self, packed: Bytes, columns: int) -> torch.Tensor:
        """Packed rows as float32 ``(n, columns)`` of 0 and 1 on the device."""
        # A copy, since a memory map cannot be written and torch wants to be able to.
        values = torch.from_numpy(packed.copy()).to(self.device)
        shifts = torch.arange(8, dtype=torch.uint8, device=self.device)
        bits = (values[:, :, None] >> shifts) & 1
        return bits.reshape(values.shape[0], -1)[:, :columns].to(torch.float32)
