"""What a hash does to the innocent: distances of changed pictures to their own, and to strangers.

The changed pictures and the clean ones are what people upload; the clean ones are the list that
they are compared with. Codes in, counts out: nothing here hashes. No torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashbench.errors import UsageError
from hashbench.retrieval import Kernel, Verification, distance_histogram, pair_distances

Bits = NDArray[np.bool_]
Counts = NDArray[np.int64]


@dataclass(frozen=True)
class InnocentCounts:
    """Distances of N pictures and their innocent changes, counted.

    Attributes:
        pictures: N.
        repeated: pictures that are the same file as an earlier one.
        changes: int64 ``(K + 1,)`` by the text of a change: the distances of the N changed pictures
            to their clean selves.
        pairs: all of these together, and the pairs of different pictures: every changed and every
            clean one against every clean one of another picture.
    """

    pictures: int
    repeated: int
    changes: Mapping[str, Counts]
    pairs: Verification

    def tpr(self, change: str, threshold: int) -> float:
        """Share of the pictures that still match themselves after one change."""
        own = self.changes[change]
        return Verification(own, np.zeros_like(own)).tpr(threshold)


def count_innocent(
    clean: Bits,
    changed: Mapping[str, Bits],
    groups: Sequence[str] | Sequence[int] | NDArray[Any],
    *,
    threads: int = 1,
    kernel: Kernel = Kernel.AUTO,
) -> InnocentCounts:
    """Count the distances of changed pictures to their own, and to strangers.

    A picture that is there twice is no stranger to itself: pairs of two pictures of one group count
    as neither. A picture against its own unchanged file is no pair either.

    Args:
        clean: bool (N, K), the codes of the clean pictures.
        changed: bool (N, K) by the text of a change, the codes of the changed pictures, in order.
        groups: N values, equal where two clean files are the same bytes: their SHA-256, for one.
        threads: how many count.
        kernel: what counts, see `Kernel`; the counts are the same.

    Raises:
        UsageError: codes that are no bool (N, K), or another number of groups.
    """
    for name, codes in (("clean", clean), *changed.items()):
        if codes.dtype != np.bool_ or codes.ndim != 2 or codes.shape != clean.shape:
            raise UsageError(
                f"codes of {name}: expected bool of shape {clean.shape}, found {codes.dtype} of "
                f"shape {codes.shape}"
            )
    bits = clean.shape[1]
    own: dict[str, Counts] = {
        change: np.bincount(pair_distances(codes, clean), minlength=bits + 1)
        for change, codes in changed.items()
    }
    listed = np.asarray(groups)
    if listed.shape != clean.shape[:1]:
        raise UsageError(
            f"groups: expected one for each of {len(clean)} pictures, found shape {listed.shape}"
        )
    distinct, numbers = np.unique(listed, return_inverse=True)
    uploads = np.concatenate([clean, *changed.values()])
    other = distance_histogram(
        uploads,
        clean,
        query_groups=np.tile(numbers, 1 + len(changed)),
        database_groups=numbers,
        threads=threads,
        kernel=kernel,
    )
    same = sum(own.values(), start=np.zeros(bits + 1, dtype=np.int64))
    return InnocentCounts(len(clean), len(clean) - distinct.size, own, Verification(same, other))
