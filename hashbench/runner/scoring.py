"""From codes to metrics: what one cell reports. Names are canonical: they are the CSV's names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hashbench.data.images import RetrievalData
from hashbench.data.protocol import Protocol
from hashbench.data.targets import draw_targets
from hashbench.results.metrics import Metric, toward_targets, under
from hashbench.retrieval import (
    Scorer,
    Shard,
    Tally,
    Ties,
    ceiling,
    center_codes,
    chance_level,
    code_quality,
    degenerate_queries,
    mean_average_precision,
)
from hashbench.retrieval.quality import tied_share
from hashbench.runner.evaluation_steps import Comparison
from hashbench.runner.probe import ProbeOutcome

Codes = Mapping[str, NDArray[Any]]
"""The arrays of a codes artifact by name."""

Tallies = Mapping[Comparison, Tally]
"""Counts of a whole database, by what was compared with it."""

NO_TALLIES: Final[Tallies] = {}

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


@dataclass(frozen=True)
class Compared:
    """Codes that are compared with the database.

    Attributes:
        codes: (Q, K) of +1 and -1.
        labels: (Q, classes), by which they are relevant to what they find.
    """

    codes: NDArray[Any]
    labels: NDArray[Any]

    def scorer(
        self,
        codes: NDArray[Any],
        labels: NDArray[Any],
        *,
        threads: int = 1,
        tally: Tally | None = None,
    ) -> Scorer:
        """Scores them against a database of these codes and labels, or its counts."""
        shard = Shard(codes, labels)
        return Scorer(self.codes, self.labels, shard, threads=threads, tally=tally)


def compared_clean(codes: Codes, data: RetrievalData) -> dict[Comparison, Compared]:
    """What of the clean queries is compared with the database; arguments as of `score_clean`."""
    queries = data.query.labels
    return {
        Comparison.OWN: Compared(codes["query"], queries),
        Comparison.TARGETS: Compared(codes["query"], draw_targets(queries, data.train.labels)),
        Comparison.FLOOR: Compared(_opposite(codes, data), queries),
    }


def compared_attack(attacked: Codes, data: RetrievalData) -> dict[Comparison, Compared]:
    """What of attacked queries is compared with the database; arguments as of `score_attack`."""
    found = {Comparison.OWN: Compared(attacked["codes"], data.query.labels)}
    if "target_labels" in attacked:
        found[Comparison.TARGETS] = Compared(attacked["codes"], attacked["target_labels"])
    return found


def score_clean(
    codes: Codes,
    data: RetrievalData,
    protocol: Protocol,
    *,
    threads: int = 1,
    tallies: Tallies = NO_TALLIES,
) -> CellScores:
    """Score a model on clean queries, and describe its codes and its protocol's bounds.

    Args:
        codes: `train`, `query`, `database`, each with its `..._saturated` share.
        data: the splits.
        protocol: list length and AP normaliser.
        threads: how many rank; the scores are the same.
        tallies: of what was counted before; the rest is counted here.
    """
    compared = compared_clean(codes, data)
    scorers = _scorers(compared, codes, data, threads, tallies)
    ranked, curve, per_query = _ranking(scorers[Comparison.OWN], protocol)
    labels = (data.query.labels, data.database.labels)
    rule: Any = {"top_k": protocol.top_k, "normalize": protocol.normalize}
    quality = code_quality(codes["database"])
    degenerate = degenerate_queries(*labels)
    floor = scorers[Comparison.FLOOR].average_precision(ties=Ties.EXPECTED, **rule)
    metrics = {
        **ranked,
        **_reached(compared, scorers, protocol),
        Metric.CHANCE: chance_level(*labels, **rule),
        Metric.FLOOR: float(floor.mean()),
        Metric.CEILING: ceiling(*labels, **rule),
        Metric.DISTINCT_CODES: float(quality.distinct_codes),
        Metric.BIT_BALANCE: quality.bit_balance,
        Metric.BIT_ENTROPY: quality.bit_entropy,
        Metric.TIED: tied_share(scorers[Comparison.OWN].tally, protocol.top_k),
        Metric.SATURATED: float(codes["query_saturated"]),
        Metric.QUERIES_WITHOUT_RELEVANT: float(degenerate.without_relevant),
    }
    if data.found_again:
        metrics[Metric.QUERIES_IN_DATABASE] = float(data.found_again)
    return CellScores(metrics, curve, per_query)


def score_attack(
    clean: Codes,
    attacked: Codes,
    data: RetrievalData,
    protocol: Protocol,
    *,
    threads: int = 1,
    tallies: Tallies = NO_TALLIES,
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
        threads: how many rank; the scores are the same.
        tallies: as for `score_clean`.
    """
    compared = compared_attack(attacked, data)
    scorers = _scorers(compared, clean, data, threads, tallies)
    ranked, curve, per_query = _ranking(scorers[Comparison.OWN], protocol)
    queries = len(attacked["codes"])
    metrics: dict[str, float] = {
        **ranked,
        **_reached(compared, scorers, protocol),
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


def _scorers(
    compared: Mapping[Comparison, Compared],
    codes: Codes,
    data: RetrievalData,
    threads: int,
    tallies: Tallies,
) -> dict[Comparison, Scorer]:
    database = (codes["database"], data.database.labels)
    return {
        comparison: one.scorer(*database, threads=threads, tally=tallies.get(comparison))
        for comparison, one in compared.items()
    }


def _reached(
    compared: Mapping[Comparison, Compared],
    scorers: Mapping[Comparison, Scorer],
    protocol: Protocol,
) -> dict[str, float]:
    """How near queries are to their targets; nothing where there are none."""
    if Comparison.TARGETS not in compared:
        return {}
    scores = scorers[Comparison.TARGETS].average_precisions(
        top_k=protocol.top_k, normalize=protocol.normalize
    )
    targets = compared[Comparison.TARGETS].labels
    return {
        **_mean_precisions(toward_targets(protocol.metric), scores),
        Metric.QUERIES_WITHOUT_TARGET: float((~targets.any(axis=1)).sum()),
    }


def _ranking(
    scorer: Scorer, protocol: Protocol
) -> tuple[dict[str, float], Curve, dict[str, NDArray[np.float64]]]:
    # One scorer: the distances are counted once, for all tie rules and for the curve.
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
