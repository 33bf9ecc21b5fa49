"""Whether two places say different things of a cell. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from hashbench.data.protocol import Protocol
from hashbench.results.cell import Cell
from hashbench.results.metrics import certified, toward_targets, under
from hashbench.results.provenance import Conflict, Measurement
from hashbench.results.scored import Measured
from hashbench.retrieval import Ties

NOISE: Final = 1e-9
"""By how much the same value may differ: sums of float64 in another order."""


def differ(one: Measured, other: Measured, protocol: Protocol) -> bool:
    """Whether two measurements of a cell differ by more than `NOISE`.

    Compared are the values that stand in tables, every mAP under every order of ties, and the
    average precision of each query. Others (a share of saturated outputs, say) differ in the last
    digits between processors, and change nothing.
    """
    if one.files and one.files == other.files:
        return False
    names = [
        name
        for metric in (protocol.metric, toward_targets(protocol.metric))
        for name in (metric, *(under(metric, ties) for ties in Ties))
    ]
    proven = certified(protocol.metric)
    if (proven in one.scores.metrics) != (proven in other.scores.metrics):
        return True  # one of them proves nothing
    names += [proven, under(proven, Ties.EXPECTED)]
    first, second = one.scores.metrics, other.scores.metrics
    values = [(first[name], second[name]) for name in names if name in first and name in second]
    if not all(math.isclose(a, b, rel_tol=0, abs_tol=NOISE) for a, b in values):
        return True
    return bool(abs(one.per_query - other.per_query).max(initial=0.0) > NOISE)


def conflict_of(
    cell: Cell, found: Sequence[tuple[Measured, Measurement]], protocol: Protocol
) -> Conflict | None:
    """What several places say of a cell, where they do not say the same.

    Args:
        cell: which one.
        found: what each place says; the first one stands in the tables.
        protocol: of the cell.
    """
    if not any(differ(found[0][0], other, protocol) for other, _ in found[1:]):
        return None
    metric = certified(protocol.metric) if cell.is_certificate else protocol.metric
    return Conflict(cell, metric, tuple(measurement for _, measurement in found))
