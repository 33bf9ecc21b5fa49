"""What was measured of a cell: read from an artifact, and every value checked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hashbench.characters import shortened
from hashbench.data.protocol import Protocol
from hashbench.errors import FileError, UsageError
from hashbench.files import parsed_json
from hashbench.records import migrated, read
from hashbench.results.address import Address
from hashbench.results.arrays import Array, largest_file, read_arrays
from hashbench.results.artifacts import PER_QUERY
from hashbench.results.artifacts import SCORES as SCORES_FILE
from hashbench.results.metrics import Metric, certified, is_certified, under, wrong_metric
from hashbench.results.migrations import MIGRATIONS, SCORES
from hashbench.results.store import Artifact, Store
from hashbench.results.sums import SCHEMA
from hashbench.retrieval import Ties

MAX_METRICS: Final = 200
MAX_LEVELS: Final = 1_000
"""Of a precision-recall curve; 20 are drawn."""

_NAME: Final = re.compile(r"[a-z][a-z0-9_@()=. -]{0,99}")

_MAX_REASON: Final = 10_000
"""Characters of why nothing is proven."""

ORDERS_OF_PROOF: Final = (Ties.WORST, Ties.EXPECTED)
"""The orders of ties under which average precision is proven; the first has the plain name."""

PER_QUERY_OF_PROOF: Final = (*map(str, ORDERS_OF_PROOF), "uncertain", "exact")
"""The arrays of a certificate, float64 (Q,) each: the proven average precision of each query, how
many of its bits are uncertain, and 1 where some bits do have that precision."""

_ROUNDING: Final = 1e-9
"""By how much two means of the same float64 may differ: another numpy adds in another order."""

_ORDERS: Final = (Ties.BEST, Ties.WORST)


@dataclass(frozen=True)
class StoredCurve:
    """Precision at levels of recall."""

    recall: tuple[float, ...]
    precision: tuple[float, ...]


@dataclass(frozen=True)
class StoredScores:
    """What `scores.json` holds.

    Attributes:
        metrics: value by name, see `hashbench.results.metrics`.
        curve: averaged over the queries; without points in a certificate.
        reason: of a certificate, why nothing is proven.
    """

    metrics: Mapping[str, float]
    curve: StoredCurve
    reason: str = ""


@dataclass(frozen=True)
class Measured:
    """What was measured of a cell.

    Attributes:
        scores: its metrics and its curve.
        per_query: expected average precision of each query, float64 (Q,). Of a certificate, what is
            proven of it with ties in their worst order; empty where nothing is.
        worst_ties: the same with ties in their worst order; empty where it was not kept.
        files: SHA-256 of the files that it was read from, by name.
        environment: what made it, and on what, by name.
        written: when, ISO 8601; empty where nobody wrote it down.
    """

    scores: StoredScores
    per_query: NDArray[np.float64]
    worst_ties: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    files: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    written: str = ""


def measured(
    store: Store, address: Address, protocol: Protocol, *, certificate: bool = False
) -> Measured | None:
    """What was measured of a cell, in whatever format it is stored; `None` where nothing is.

    Args:
        store: where it lies.
        address: of its artifact.
        protocol: of the cell: it names mAP, and says how many queries there are.
        certificate: whether it is of what is proven, and of no queries that were asked.

    Raises:
        FileError: it is damaged, or nothing that a run can have measured.
    """
    artifact = store.artifact(address)
    if artifact is None:
        return None
    scores = _read(artifact)
    if certificate:
        _check_certificate(scores, protocol)
        per_query, worst_ties = _proven(artifact, scores, protocol), np.empty(0)
    else:
        _check(scores, protocol)
        per_query, worst_ties = _per_query(artifact, scores, protocol)
    record = artifact.record
    return Measured(
        scores,
        per_query,
        worst_ties,
        files=record["files"],
        environment=record.get("environment", {}),
        written=record.get("written", ""),
    )


def _read(artifact: Artifact) -> StoredScores:
    content = artifact.read(SCORES_FILE)
    try:
        plain = parsed_json(content)
        if not isinstance(plain, Mapping):
            raise FileError("it is no table")
        since = artifact.record["schema"]
        return read(StoredScores, migrated(MIGRATIONS, SCORES, plain, since, SCHEMA), "")
    except (FileError, UsageError) as error:
        raise FileError(f"{SCORES_FILE}: {error}") from None
    except (KeyError, TypeError, AttributeError) as error:  # what a migration looks for
        raise FileError(f"{SCORES_FILE}: {shortened(repr(error))}") from None


def _check(scores: StoredScores, protocol: Protocol) -> None:
    metrics, curve = scores.metrics, scores.curve
    wrong = wrong_metric(metrics)
    most = {
        Metric.QUERIES_WITHOUT_RELEVANT: protocol.query,
        Metric.QUERIES_IN_DATABASE: protocol.query,
        Metric.QUERIES_WITHOUT_TARGET: protocol.query,
        Metric.DISTINCT_CODES: max(protocol.query, protocol.database),
    }
    wrong = wrong or next((name for name, top in most.items() if metrics.get(name, 0) > top), None)
    levels = (*curve.recall, *curve.precision)
    if not 0 < len(metrics) <= MAX_METRICS or not all(map(_NAME.fullmatch, metrics)):
        reason = "its metrics have names that no metric has"
    elif wrong is not None:
        reason = f"{wrong} is {metrics[wrong]:g}, out of its range"
    elif protocol.metric not in metrics:
        reason = f"it holds no {protocol.metric}"
    elif not 0 < len(curve.recall) == len(curve.precision) <= MAX_LEVELS:
        reason = "its curve has no points, or too many"
    elif not all(0 <= level <= 1 + _ROUNDING for level in levels):
        reason = "its curve leaves the range from 0 to 1"
    else:
        return
    raise FileError(f"{SCORES_FILE}: {reason}")


def _check_certificate(scores: StoredScores, protocol: Protocol) -> None:
    metrics, curve = scores.metrics, scores.curve
    wrong = wrong_metric(metrics)
    named = len(metrics) <= MAX_METRICS and all(map(_NAME.fullmatch, metrics))
    if not named or not all(map(is_certified, metrics)):
        reason = "its metrics have names that no metric of a certificate has"
    elif wrong is not None:
        reason = f"{wrong} is {metrics[wrong]:g}, out of its range"
    elif any((name in metrics) == bool(scores.reason) for name in _names_of_proof(protocol)):
        reason = f"it holds neither {certified(protocol.metric)} nor why there is none, or both"
    elif curve.recall or curve.precision:
        reason = "it holds a curve, which nothing proves"
    elif len(scores.reason) > _MAX_REASON:
        reason = f"its reason has {len(scores.reason):,} characters"
    else:
        return
    raise FileError(f"{SCORES_FILE}: {reason}")


def _proven(artifact: Artifact, scores: StoredScores, protocol: Protocol) -> NDArray[np.float64]:
    """The proven average precision of each query; empty where nothing is proven."""
    metric, each = certified(protocol.metric), Array("f8", (protocol.query,))
    if metric not in scores.metrics:
        return np.empty(0)
    wanted = dict.fromkeys(PER_QUERY_OF_PROOF, each)
    content = artifact.read(PER_QUERY, largest_file(wanted))
    try:
        arrays = read_arrays(content, wanted)
        for name, ties in zip(_names_of_proof(protocol), ORDERS_OF_PROOF, strict=True):
            _check_mean(name, arrays[ties], scores)
    except FileError as error:
        raise FileError(f"{PER_QUERY}: {error}") from None
    proven: NDArray[np.float64] = arrays[Ties.WORST]
    return proven


def _names_of_proof(protocol: Protocol) -> tuple[str, str]:
    """The metrics of what is proven, by order of ties."""
    metric = certified(protocol.metric)
    return metric, under(metric, Ties.EXPECTED)


def _check_mean(metric: str, values: NDArray[np.float64], scores: StoredScores) -> None:
    # One that is not a number is in no range.
    if not (values.min() >= 0 and values.max() <= 1):
        raise FileError("an average precision is not from 0 to 1")
    if not abs(values.mean() - scores.metrics[metric]) <= _ROUNDING:
        raise FileError(f"{metric} is not the mean over the queries")


def _per_query(
    artifact: Artifact, scores: StoredScores, protocol: Protocol
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Of the expected order of ties, and of the worst one.

    The orders that are there have the mean that is told too; without the worst one it is empty.
    """
    metric, each = protocol.metric, Array("f8", (protocol.query,))
    named = {under(metric, ties): ties for ties in _ORDERS if under(metric, ties) in scores.metrics}
    wanted = {metric: Ties.EXPECTED, **named}
    content = artifact.read(PER_QUERY, largest_file(dict.fromkeys(Ties, each)))
    try:
        arrays = read_arrays(content, {str(ties): each for ties in wanted.values()})
        for name, ties in wanted.items():
            _check_mean(name, arrays[ties], scores)
    except FileError as error:
        raise FileError(f"{PER_QUERY}: {error}") from None
    return arrays[Ties.EXPECTED], arrays.get(Ties.WORST, np.empty(0))
