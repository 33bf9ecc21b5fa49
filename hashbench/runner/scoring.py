"""From codes to metrics: what one cell reports. Names are canonical: they are the CSV's names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashbench.data.images import RetrievalData
from hashbench.data.protocol import Protocol
from hashbench.data.targets import draw_targets
from hashbench.retrieval import (
    Scorer,
    Shard,
    Ties,
    ceiling,
    center_codes,
    chance_level,
    code_quality,
    degenerate_queries,
    mean_average_precision,
)
from hashbench.runner.probe import ProbeOutcome

Codes = Mapping[str, NDArray[Any]]
"""The arrays of a codes artifact by name."""

_LEVELS = tuple(level / 20 for level in range(1, 21))
"""Levels of recall that a curve is drawn through."""


@dataclass(frozen=True)
class Curve:
    """Precision at levels of recall, averaged over the queries."""

    recall: list[float]
    precision: list[float]


@dataclass(frozen=True)
class CellScores:
    """Everything that is measured of one cell.

    Attributes:
        metrics: value by canonical name; shares and mAP in `[0, 1]`.
        curve: precision and recall.
        per_query: average precision of each query by tie rule, float64 (Q,).
    """

    metrics: dict[str, float]
    curve: Curve
    per_query: dict[str, NDArray[np.float64]]


def score_clean(codes: Codes, data: RetrievalData, protocol: Protocol) -> CellScores:
    """Score a model on clean queries, and describe its codes and its protocol's bounds.

    Args:
        codes: `train`, `query`, `database`, each with its `..._saturated` share.
        data: the splits.
        protocol: list length and AP normaliser.
    """
    ranked, curve, per_query = _ranking(codes["query"], codes["database"], data, protocol)
    labels = (data.query.labels, data.database.labels)
    rule: Any = {"top_k": protocol.top_k, "normalize": protocol.normalize}
    quality = code_quality(codes["database"])
    queries = code_quality(codes["query"], database_codes=codes["database"], top_k=protocol.top_k)
    degenerate = degenerate_queries(*labels)
    metrics = {
        **ranked,
        **_reached(
            codes["query"],
            draw_targets(data.query.labels, data.train.labels),
            codes,
            data,
            protocol,
        ),
        "chance": chance_level(*labels, **rule),
        "floor": mean_average_precision(
            _opposite(codes, data), codes["database"], *labels, ties=Ties.EXPECTED, **rule
        ),
        "ceiling": ceiling(*labels, **rule),
        "distinct-codes": float(quality.distinct_codes),
        "bit-balance": quality.bit_balance,
        "bit-entropy": quality.bit_entropy,
        "tied": queries.tied_share or 0.0,
        "saturated": float(codes["query_saturated"]),
        "queries-without-relevant": float(degenerate.without_relevant),
    }
    return CellScores(metrics, curve, per_query)


def score_attack(
    clean: Codes, attacked: Codes, data: RetrievalData, protocol: Protocol
) -> CellScores:
    """Score attacked queries against the clean database.

    A targeted attack is scored twice: by what the query is relevant to, as every attack, and by
    what its target is relevant to, `t-map`, which the attacker wants to be high.

    Args:
        clean: the model's codes, as in `score_clean`.
        attacked: the fields of an `AttackOutcome`; `target_labels` (Q, classes) if it was targeted.
        data: the splits.
        protocol: list length and AP normaliser.
    """
    ranked, curve, per_query = _ranking(attacked["codes"], clean["database"], data, protocol)
    queries = len(attacked["codes"])
    metrics = {
        **ranked,
        **_reached(attacked["codes"], attacked.get("target_labels"), clean, data, protocol),
        "flipped-bits": float((attacked["codes"] != clean["query"]).mean()),
        "distinct-codes": float(code_quality(attacked["codes"]).distinct_codes),
        "saturated": float(attacked["saturated"]),
        "zero-gradients": float(attacked["zero_gradients"]),
        "linf": float(attacked["linf"].max()),
        "l2": float(attacked["l2"].mean()),
        "forwards": float(attacked["forwards"]) / queries,
        "backwards": float(attacked["backwards"]) / queries,
    }
    return CellScores(metrics, curve, per_query)


def score_probe(
    outcome: ProbeOutcome, clean: Codes, data: RetrievalData, protocol: Protocol
) -> dict[str, float]:
    """The probe's answers as metrics; its mAP values are over its own queries, the first ones.

    Args:
        outcome: of the probe.
        clean: the model's codes, as in `score_clean`.
        data: the splits.
        protocol: list length and AP normaliser.
    """
    first = len(outcome.unbounded)
    rule: Any = {"top_k": protocol.top_k, "normalize": protocol.normalize}

    def mean_precision(codes: NDArray[Any]) -> float:
        labels = data.query.labels[:first]
        database = (clean["database"], labels, data.database.labels)
        return mean_average_precision(codes[:first], *database, ties=Ties.EXPECTED, **rule)

    return {
        "probe-unstable": outcome.unstable,
        "probe-moved-at-eps-0": outcome.moved,
        "probe-clean": mean_precision(clean["query"]),
        "probe-unbounded": mean_precision(outcome.unbounded),
        "probe-floor": mean_precision(_opposite(clean, data)),
    }


def _reached(
    queries: NDArray[Any],
    targets: NDArray[Any] | None,
    clean: Codes,
    data: RetrievalData,
    protocol: Protocol,
) -> dict[str, float]:
    """How near queries are to their targets; nothing where there are none."""
    if targets is None:
        return {}
    scorer = Scorer(queries, targets, Shard(clean["database"], data.database.labels))
    scores = scorer.average_precisions(top_k=protocol.top_k, normalize=protocol.normalize)
    return {
        f"t-{protocol.metric}": float(scores[Ties.EXPECTED].mean()),
        f"t-{protocol.metric}(ties=best)": float(scores[Ties.BEST].mean()),
        f"t-{protocol.metric}(ties=worst)": float(scores[Ties.WORST].mean()),
        "queries-without-target": float((~targets.any(axis=1)).sum()),
    }


def _ranking(
    query_codes: NDArray[Any], database_codes: NDArray[Any], data: RetrievalData, protocol: Protocol
) -> tuple[dict[str, float], Curve, dict[str, NDArray[np.float64]]]:
    # One scorer: the distances are counted once, for all tie rules and for the curve.
    scorer = Scorer(query_codes, data.query.labels, Shard(database_codes, data.database.labels))
    scores = scorer.average_precisions(top_k=protocol.top_k, normalize=protocol.normalize)
    curve = scorer.precision_recall_curve(_LEVELS)
    metrics = {
        protocol.metric: float(scores[Ties.EXPECTED].mean()),
        f"{protocol.metric}(ties=best)": float(scores[Ties.BEST].mean()),
        f"{protocol.metric}(ties=worst)": float(scores[Ties.WORST].mean()),
    }
    return (
        metrics,
        Curve(recall=curve.recall.tolist(), precision=curve.precision.tolist()),
        {str(ties): values for ties, values in scores.items()},
    )


def _opposite(codes: Codes, data: RetrievalData) -> NDArray[np.int8]:
    """The opposite of every query's center code; an undecided bit is turned from the clean code."""
    centers = center_codes(data.query.labels, codes["train"], data.train.labels)
    opposite: NDArray[np.int8] = -np.where(centers == 0, codes["query"], centers).astype(np.int8)
    return opposite
