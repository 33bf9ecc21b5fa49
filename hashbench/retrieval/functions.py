"""The public measures: queries against one database in memory. Each is a call of the scorer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hashbench.retrieval.curves import RECALL_LEVELS, PrecisionRecall
from hashbench.retrieval.database import Shard
from hashbench.retrieval.harmonic import Floats
from hashbench.retrieval.options import Normalize, RecallRounding, Ties
from hashbench.retrieval.scorer import Scorer


def average_precision(
    query_codes: Any,
    database_codes: Any,
    query_labels: Any,
    database_labels: Any,
    *,
    top_k: int | None = None,
    ties: Ties | str = Ties.EXPECTED,
    normalize: Normalize | str = Normalize.RETRIEVED,
) -> Floats:
    """Average precision of each query in the Hamming ranking of the database.

    Two items are relevant to each other when they share at least one label. A query without a
    relevant item, or without one inside the list, scores 0.

    Args:
        query_codes: -1/+1 ``(Q, K)`` of any integer or float type, K from 1 to 512; an array or a
            tensor.
        database_codes: -1/+1 ``(N, K)``, or packed by `pack_codes`.
        query_labels: 0/1 ``(Q, C)``, C from 1 to 2000.
        database_labels: 0/1 ``(N, C)``.
        top_k: length of the list, at least 1; None or more than N for the whole database.
        ties: ``expected`` (the mean over all orders inside each tie, in closed form: McSherry and
            Najork, ECIR 2008), ``stable`` (database order), ``best`` or ``worst``.
        normalize: ``retrieved`` (divide by the relevant items inside the list), ``relevant`` (by
            all relevant items) or ``capped`` (by ``min(top_k, relevant)``).

    Returns:
        float64 ``(Q,)`` in [0, 1].

    Raises:
        ValueError: names the argument, what was expected and what was found.

    Examples:
        A relevant item at distance 0; at distance 1 a relevant and another one, in either order:

        >>> query, database = [[1, 1]], [[1, 1], [1, -1], [-1, 1]]
        >>> labels = [[1, 0], [1, 0], [0, 1]]
        >>> average_precision(query, database, [[1, 0]], labels, ties="best").tolist()
        [1.0]
        >>> average_precision(query, database, [[1, 0]], labels).round(4).tolist()
        [0.9167]
    """
    return _scorer(query_codes, database_codes, query_labels, database_labels).average_precision(
        top_k=top_k, ties=ties, normalize=normalize
    )


def mean_average_precision(
    query_codes: Any,
    database_codes: Any,
    query_labels: Any,
    database_labels: Any,
    *,
    top_k: int | None = None,
    ties: Ties | str = Ties.EXPECTED,
    normalize: Normalize | str = Normalize.RETRIEVED,
) -> float:
    """The mean of `average_precision` over all queries, in [0, 1]; arguments as there.

    Examples:
        >>> database, labels = [[1, 1], [1, -1], [-1, -1]], [[1, 0], [0, 1], [0, 1]]
        >>> mean_average_precision([[1, 1], [-1, -1]], database, [[1, 0], [0, 1]], labels)
        1.0
        >>> mean_average_precision([[1, 1], [1, 1]], database, [[1, 0], [0, 1]], labels, top_k=1)
        0.5
    """
    scores = average_precision(
        query_codes,
        database_codes,
        query_labels,
        database_labels,
        top_k=top_k,
        ties=ties,
        normalize=normalize,
    )
    return float(scores.mean())


def average_precisions(
    query_codes: Any,
    database_codes: Any,
    query_labels: Any,
    database_labels: Any,
    *,
    top_k: int | None = None,
    ties: Sequence[Ties | str] = (Ties.EXPECTED, Ties.BEST, Ties.WORST),
    normalize: Normalize | str = Normalize.RETRIEVED,
) -> dict[Ties, Floats]:
    """`average_precision` under several tie rules, from one pass over the database.

    Examples:
        A constant code leaves the order open, so that everything depends on it:

        >>> same, labels = [[1, 1], [1, 1]], [[1, 0], [0, 1]]
        >>> found = average_precisions([[1, 1]], same, [[1, 0]], labels)
        >>> {str(rule): scores.tolist() for rule, scores in found.items()}
        {'expected': [0.75], 'best': [1.0], 'worst': [0.5]}
    """
    return _scorer(query_codes, database_codes, query_labels, database_labels).average_precisions(
        top_k=top_k, ties=ties, normalize=normalize
    )


def precision_at(
    query_codes: Any,
    database_codes: Any,
    query_labels: Any,
    database_labels: Any,
    *,
    top_k: int,
    ties: Ties | str = Ties.EXPECTED,
) -> Floats:
    """Share of relevant items among the first ``top_k``, float64 ``(Q,)`` in [0, 1].

    A ``top_k`` past the end of the database means all of it. ``best`` and ``worst`` are the values
    for the most and the fewest relevant items that any order can bring into the list.

    Examples:
        The second place goes to one of two items that are equally near, one of them relevant:

        >>> query, database = [[1, 1]], [[1, 1], [1, -1], [-1, 1]]
        >>> labels = [[1, 0], [1, 0], [0, 1]]
        >>> for ties in ("worst", "expected", "best"):
        ...     print(precision_at(query, database, [[1, 0]], labels, top_k=2, ties=ties))
        [0.5]
        [0.75]
        [1.]
    """
    return _scorer(query_codes, database_codes, query_labels, database_labels).precision_at(
        top_k, ties=ties
    )


def recall_at(
    query_codes: Any,
    database_codes: Any,
    query_labels: Any,
    database_labels: Any,
    *,
    top_k: int,
    ties: Ties | str = Ties.EXPECTED,
) -> Floats:
    """Share of a query's relevant items among the first ``top_k``, float64 ``(Q,)`` in [0, 1].

    0 for a query without a relevant item.

    Examples:
        >>> database, labels = [[1, 1], [1, -1], [-1, -1]], [[1, 0], [0, 1], [1, 0]]
        >>> for top_k in (1, 2, 3):
        ...     print(recall_at([[1, 1]], database, [[1, 0]], labels, top_k=top_k))
        [0.5]
        [0.5]
        [1.]
    """
    return _scorer(query_codes, database_codes, query_labels, database_labels).recall_at(
        top_k, ties=ties
    )


def precision_within_radius(
    query_codes: Any,
    database_codes: Any,
    query_labels: Any,
    database_labels: Any,
    *,
    radius: int,
) -> Floats:
    """Share of relevant items at Hamming distance ``radius`` or less, float64 ``(Q,)`` in [0, 1].

    0 where no item is that near. The order inside a tie plays no part.

    Examples:
        >>> database, labels = [[1, 1], [1, -1], [-1, -1]], [[1, 0], [0, 1], [1, 0]]
        >>> for radius in (0, 1):
        ...     print(precision_within_radius([[1, 1]], database, [[1, 0]], labels, radius=radius))
        [1.]
        [0.5]
    """
    return _scorer(
        query_codes, database_codes, query_labels, database_labels
    ).precision_within_radius(radius)


def precision_recall_curve(
    query_codes: Any,
    database_codes: Any,
    query_labels: Any,
    database_labels: Any,
    *,
    levels: Sequence[float] = RECALL_LEVELS,
    ties: Ties | str = Ties.EXPECTED,
    rounding: RecallRounding | str = RecallRounding.UP,
) -> PrecisionRecall:
    """Precision of the shortest list that reaches each level of recall, averaged over the queries.

    Args:
        query_codes: see `average_precision`, as the three that follow.
        database_codes: -1/+1 ``(N, K)``.
        query_labels: 0/1 ``(Q, C)``.
        database_labels: 0/1 ``(N, C)``.
        levels: recalls above 0 and at most 1.
        ties: as in `average_precision`; ``expected`` is the mean precision over all orders.
        rounding: how many hits a level asks for where ``level * relevant`` is not a whole number.

    Returns:
        The levels and the precision at each, in [0, 1]; a query without a relevant item counts 0.

    Examples:
        The relevant items come first and last of three:

        >>> database, labels = [[1, 1], [1, -1], [-1, -1]], [[1, 0], [0, 1], [1, 0]]
        >>> query = [[1, 1]]
        >>> curve = precision_recall_curve(query, database, [[1, 0]], labels, levels=[0.5, 1.0])
        >>> curve.precision.round(4).tolist()
        [1.0, 0.6667]
    """
    return _scorer(
        query_codes, database_codes, query_labels, database_labels
    ).precision_recall_curve(levels, ties=ties, rounding=rounding)


def _scorer(
    query_codes: Any, database_codes: Any, query_labels: Any, database_labels: Any
) -> Scorer:
    return Scorer(query_codes, query_labels, Shard(database_codes, database_labels))
