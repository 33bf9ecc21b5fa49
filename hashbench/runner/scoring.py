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
from hashbench.results.metrics import Metric, toward_targets, under
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
        Metric.CHANCE: chance_level(*labels, **rule),
        Metric.FLOOR: mean_average_precision(
            _opposite(codes, data), codes["database"], *labels, ties=Ties.EXPECTED, **rule
        ),
        Metric.CEILING: ceiling(*labels, **rule),
        Metric.DISTINCT_CODES: float(quality.distinct_codes),
        Metric.BIT_BALANCE: quality.bit_balance,
        Metric.BIT_ENTROPY: quality.bit_entropy,
        Metric.TIED: queries.tied_share or 0.0,
        Metric.SATURATED: float(codes["query_saturated"]),
        Metric.QUERIES_WITHOUT_RELEVANT: float(degenerate.without_relevant),
    }
    if data.found_again:
        metrics[Metric.QUERIES_IN_DATABASE] = float(data.found_again)
    return CellScores(metrics, curve, per_query)


def score_attack(
    clean: Codes, attacked: Codes, data: RetrievalData, protocol: Protocol
) -> CellScores:
    """Score attacked queries against the clean database.

    A targeted attack is scored twice: by what the query is relevant to, as every attack, and by
    what its target is relevant to, `t-map`, which the attacker wants to be high.

    Args:
        clean: the model's codes, as in `score_clean`.
        attacked: the fields of an `AttackOutcome`; `dependent`, the share of some queries whose
            answer depends on the others; `target_labels` (Q, classes) if it was targeted.
        data: the splits.
        protocol: list length and AP normaliser.
    """
    ranked, curve, per_query = _ranking(attacked["codes"], clean["database"], data, protocol)
    queries = len(attacked["codes"])
    metrics: dict[str, float] = {
        **ranked,
        **_reached(attacked["codes"], attacked.get("target_labels"), clean, data, protocol),
        Metric.FLIPPED_BITS: float((attacked["codes"] != clean["query"]).mean()),
        Metric.DISTINCT_CODES: float(code_quality(attacked["codes"]).distinct_codes),
        Metric.SATURATED: float(attacked["saturated"]),
        Metric.ZERO_GRADIENTS: float(attacked["zero_gradients"]),
        Metric.LINF: float(attacked["linf"].max()),
        Metric.L2: float(attacked["l2"].mean()),
        Metric.FORWARDS: float(attacked["forwards"]) / queries,
        Metric.BACKWARDS: float(attacked["backwards"]) / queries,
    }
    if "dependent" in attacked:
        metrics[Metric.DEPENDENT] = float(attacked["dependent"])
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
    answers: dict[str, float] = {
        Metric.PROBE_UNSTABLE: outcome.unstable,
        Metric.PROBE_DEPENDENT: outcome.dependent,
    }
    if outcome.moved is None or outcome.unbounded is None:
        return {**answers, Metric.PROBE_CODES_ALONE: 1.0}
    first = len(outcome.unbounded)
    rule: Any = {"top_k": protocol.top_k, "normalize": protocol.normalize}

    def mean_precision(codes: NDArray[Any]) -> float:
        labels = data.query.labels[:first]
        database = (clean["database"], labels, data.database.labels)
        return mean_average_precision(codes[:first], *database, ties=Ties.EXPECTED, **rule)

    return {
        **answers,
        Metric.PROBE_MOVED: outcome.moved,
        Metric.PROBE_CLEAN: mean_precision(clean["query"]),
        Metric.PROBE_UNBOUNDED: mean_precision(outcome.unbounded),
        Metric.PROBE_FLOOR: mean_precision(_opposite(clean, data)),
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
        **_mean_precisions(toward_targets(protocol.metric), scores),
        Metric.QUERIES_WITHOUT_TARGET: float((~targets.any(axis=1)).sum()),
    }


def _ranking(
    query_codes: NDArray[Any], database_codes: NDArray[Any], data: RetrievalData, protocol: Protocol
) -> tuple[dict[str, float], Curve, dict[str, NDArray[np.float64]]]:
    # One scorer: the distances are counted once, for all tie rules and for the curve.
    scorer = Scorer(query_codes, data.query.labels, Shard(database_codes, data.database.labels))
    scores = scorer.average_precisions(top_k=protocol.top_k, normalize=protocol.normalize)
    curve = scorer.precision_recall_curve(_LEVELS)
    return (
        _mean_precisions(protocol.metric, scores),
        Curve(recall=curve.recall.tolist(), precision=curve.precision.tolist()),
        {str(ties): values for ties, values in scores.items()},
    )


def _mean_precisions(metric: str, scores: Mapping[Ties, NDArray[np.float64]]) -> dict[str, float]:
    """MAP as the protocol orders ties, and in their best and worst order."""
    return {
        metric: float(scores[Ties.EXPECTED].mean()),
        under(metric, Ties.BEST): float(scores[Ties.BEST].mean()),
        under(metric, Ties.WORST): float(scores[Ties.WORST].mean()),
    }


def _opposite(codes: Codes, data: RetrievalData) -> NDArray[np.int8]:
    """The opposite of every query's center code; an undecided bit is turned from the clean code."""
    centers = center_codes(data.query.labels, codes["train"], data.train.labels)
    opposite: NDArray[np.int8] = -np.where(centers == 0, codes["query"], centers).astype(np.int8)
    return opposite
