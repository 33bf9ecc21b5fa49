"""What the labels alone say about a protocol: chance, ceiling, queries that cannot tell models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hashbench.retrieval.checks import as_top_k, same_columns
from hashbench.retrieval.harmonic import Ints
from hashbench.retrieval.options import Normalize, Ties, choice
from hashbench.retrieval.packing import label_matrix, labels_to_bytes
from hashbench.retrieval.tally import Tally, average_precision_of


@dataclass(frozen=True)
class DegenerateQueries:
    """Queries on which every code scores alike.

    Attributes:
        queries: all queries.
        without_relevant: queries that share no label with any database item; they score 0.
        only_relevant: queries that share a label with every database item; they score 1.
    """

    queries: int
    without_relevant: int
    only_relevant: int


def chance_level(
    query_labels: Any,
    database_labels: Any,
    *,
    top_k: int | None = None,
    normalize: Normalize | str = Normalize.RETRIEVED,
) -> float:
    """Mean average precision of a random order: what a constant code is expected to score.

    Args:
        query_labels: 0/1 ``(Q, C)``.
        database_labels: 0/1 ``(N, C)``.
        top_k: length of the list; None for the whole database.
        normalize: the divisor of an average precision, see `Normalize`.

    Returns:
        A value in [0, 1].

    Examples:
        One of two items is relevant; it comes first or second, and 0.75 is the mean of 1 and 1/2:

        >>> chance_level([[1, 0]], [[1, 0], [0, 1]])
        0.75
    """
    return _label_score(query_labels, database_labels, top_k, Ties.EXPECTED, normalize)


def ceiling(
    query_labels: Any,
    database_labels: Any,
    *,
    top_k: int | None = None,
    normalize: Normalize | str = Normalize.RETRIEVED,
) -> float:
    """Mean average precision of a perfect order; queries without a relevant item score 0.

    Arguments as in `chance_level`. Below 1 it is a property of the protocol, not of a model.

    Examples:
        The second of these queries has nothing to find:

        >>> ceiling([[1, 0, 0], [0, 0, 1]], [[1, 0, 0], [0, 1, 0]])
        0.5
    """
    relevant, items = _relevant_items(query_labels, database_labels)
    limit = as_top_k(top_k)
    if choice(Normalize, normalize, "normalize") is Normalize.RELEVANT:
        inside = np.minimum(relevant, items if limit is None else limit)
        return float((inside / np.maximum(relevant, 1)).mean())
    return float((relevant > 0).mean())


def degenerate_queries(query_labels: Any, database_labels: Any) -> DegenerateQueries:
    """Count the queries without a relevant item and those with nothing else.

    Args:
        query_labels: 0/1 ``(Q, C)``.
        database_labels: 0/1 ``(N, C)``.

    Examples:
        >>> degenerate_queries([[1, 0, 0], [0, 0, 1], [1, 1, 0]], [[1, 0, 0], [0, 1, 0]])
        DegenerateQueries(queries=3, without_relevant=1, only_relevant=1)
    """
    relevant, items = _relevant_items(query_labels, database_labels)
    return DegenerateQueries(
        queries=relevant.size,
        without_relevant=int((relevant == 0).sum()),
        only_relevant=int((relevant == items).sum()),
    )


def _label_score(
    query_labels: Any,
    database_labels: Any,
    top_k: int | None,
    ties: Ties,
    normalize: Normalize | str,
) -> float:
    relevant, items = _relevant_items(query_labels, database_labels)
    # One tie that holds the whole database.
    tally = Tally(np.full((relevant.size, 1), items, dtype=np.int64), relevant[:, None])
    scores = average_precision_of(
        tally,
        top_k=as_top_k(top_k),
        ties=ties,
        normalize=choice(Normalize, normalize, "normalize"),
    )
    return float(scores.mean())


def _relevant_items(query_labels: Any, database_labels: Any) -> tuple[Ints, int]:
    """Relevant database items of each query, int64 ``(Q,)``, and the number of items."""
    queries = label_matrix(query_labels, "query_labels")
    database = label_matrix(database_labels, "database_labels")
    same_columns(queries, database, "query_labels", "database_labels", "classes")
    classes = queries.shape[1]
    rows, inverse = np.unique(
        labels_to_bytes(queries, "query_labels", classes), axis=0, return_inverse=True
    )
    groups, sizes = np.unique(
        labels_to_bytes(database, "database_labels", classes), axis=0, return_counts=True
    )
    counts = [int(sizes[(groups & row).any(axis=1)].sum()) for row in rows]
    return np.array(counts, dtype=np.int64)[inverse.ravel()], database.shape[0]
