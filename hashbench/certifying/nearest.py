"""What is proven of the item that is found first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hashbench.certifying.items import CodeCounts, Row
from hashbench.certifying.question import Question
from hashbench.retrieval.harmonic import Ints

# Pairs of codes that are compared together: a few MB.
_BLOCK_PAIRS: Final = 1 << 18


@dataclass(frozen=True)
class CertifiedNearest:
    """What is proven of the item at the least distance.

    RetrievalGuard (Wu, Zhang and Huang, 2022, arXiv 2206.11225) certifies Recall@1 of embeddings:
    within an l2 radius that follows from the gap between distances, the nearest item keeps its
    score, that is whether it is of the query's class. `relevant` says the same of codes, where many
    items are at one distance: all of the nearest count. `kept` asks for more, that the answer
    itself stays.

    Attributes:
        relevant: bool `(Q,)`, whether all items at the least distance are relevant, for every
            completion of the uncertain bits: the mean is the certified Recall@1.
        kept: bool `(Q,)`, whether the items at the least distance are the same for every
            completion (all of one code).
    """

    relevant: NDArray[np.bool_]
    kept: NDArray[np.bool_]


def certified_nearest(
    bits: Any, query_labels: Any, database_codes: Any, database_labels: Any, *, threads: int = 1
) -> CertifiedNearest:
    """What is proven of the first item, exactly, for any number of uncertain bits.

    No completion need be enumerated. Let `b` be the distances on the proven bits and p the values
    of the uncertain ones. Against any item i, an item j gains most by the completion p_j, whatever
    i is: each bit that is turned away from p_j takes j one further and i at most one. So some
    completion has j no further than every relevant item if and only if p_j has, that is if
    `b_j <= b_i + |p_i - p_j|` for every relevant i.

    Arguments and errors: as for `certified_precision`.

    Examples:
        >>> database, labels = [[1, 1, 1], [-1, -1, -1]], [[1, 0], [0, 1]]
        >>> bits = [[1, 1, 0], [1, 0, 0]]
        >>> certified_nearest(bits, [[1, 0], [1, 0]], database, labels).relevant.tolist()
        [True, False]
    """
    question = Question.read(bits, query_labels, database_codes, database_labels)
    count = len(question.rows)
    found = CertifiedNearest(np.zeros(count, np.bool_), np.zeros(count, np.bool_))

    def answer(query: int, row: Row, relevant: CodeCounts, irrelevant: CodeCounts) -> None:
        far, near = relevant.distances(row), irrelevant.distances(row)
        free = np.flatnonzero(row == 0)
        if relevant.items:
            found.relevant[query] = not _in_front(far, near, relevant, irrelevant, free)
        found.kept[query] = _kept(row, relevant, irrelevant)

    question.answer(answer, threads)
    return found


def _in_front(
    far: Ints, near: Ints, relevant: CodeCounts, irrelevant: CodeCounts, free: Ints
) -> bool:
    """Whether some completion has an irrelevant item no further than every relevant one.

    `far` and `near` are the distances of relevant and irrelevant codes on the proven bits.
    """
    least = int(far.min())
    if (near <= least).any():
        return True
    # Codes further away than that come to the front under no completion.
    close = np.flatnonzero(near <= least + free.size)
    theirs = relevant.planes(free).astype(np.float32)
    others = irrelevant.planes(free)[:, close].astype(np.float32)
    step = max(1, _BLOCK_PAIRS // far.size)
    for start in range(0, close.size, step):
        part = others[:, start : start + step]
        # Bits that differ; whole numbers, exact in float32.
        apart = part.sum(axis=0)[:, None] + theirs.sum(axis=0) - 2 * (part.T @ theirs)
        if (near[close[start : start + step], None] <= far + apart).all(axis=1).any():
            return True
    return False


def _kept(row: Row, relevant: CodeCounts, irrelevant: CodeCounts) -> bool:
    """Whether the items of one code are nearer than all others under every completion."""
    sides = [side for side in (relevant, irrelevant) if side.items]
    distances = [side.distances(row) for side in sides]
    side, found = min(zip(sides, distances, strict=True), key=lambda pair: int(pair[1].min()))
    first = int(found.argmin())
    code = side.code(first, row.size)
    free = np.where(row == 0, code, 0).astype(np.int8)
    return all(
        bool(((near > found[first] + side.distances(free)) | (side.distances(code) == 0)).all())
        for near, side in zip(distances, sides, strict=True)
    )
