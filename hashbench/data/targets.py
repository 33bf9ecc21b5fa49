"""Target labels of targeted attacks: drawn once per protocol, the same for every model."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hashbench.seeds import seed_of

TARGETS = "a train label row without a label of the query, drawn with seed 0"


def draw_targets(
    query_labels: NDArray[np.uint8], train_labels: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """A label row for every query that shares no label with it.

    Drawn uniformly from the distinct label rows of the training set, which is what an attacker
    has; the published scripts draw from the database's, and may hit the query's own labels. Each
    query has a seed of its own, so its target does not depend on the other queries.

    Args:
        query_labels: (Q, classes) of 0 and 1.
        train_labels: (N, classes).

    Returns:
        uint8 (Q, classes); all zero for a query with which every row shares a label.
    """
    rows = np.unique(train_labels[train_labels.any(axis=1)], axis=0)
    apart = query_labels.astype(np.int64) @ rows.T.astype(np.int64) == 0
    targets = np.zeros_like(query_labels)
    for query, allowed in enumerate(apart):
        choices = np.flatnonzero(allowed)
        if len(choices):
            targets[query] = rows[choices[seed_of("target", 0, query) % len(choices)]]
    return targets
