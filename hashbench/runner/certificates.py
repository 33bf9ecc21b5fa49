"""Makes the certificate of one model at one radius: what no attack inside it can undo."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hashbench import plugins
from hashbench.certifying import (
    BUDGET,
    UNCERTAIN,
    CertifiedNearest,
    CertifiedPrecision,
    certified_bits,
    certified_nearest,
    certified_precision,
)
from hashbench.defending.contract import Defense, TrainedDefense
from hashbench.errors import UncertifiableError, UsageError
from hashbench.hashing.encode import as_images, device_of
from hashbench.hashing.precision import Precision
from hashbench.plugins.kinds import Kind
from hashbench.plugins.parameters import Spec
from hashbench.progress import Progress
from hashbench.results.artifacts import CODES, PER_QUERY, SCORES
from hashbench.results.metrics import Metric, certified, under
from hashbench.results.scored import ORDERS_OF_PROOF, PER_QUERY_OF_PROOF
from hashbench.results.store import Store
from hashbench.retrieval import Ties
from hashbench.runner.evaluation_steps import CERTIFIED_TOGETHER, Certificate
from hashbench.runner.loading import data_of, load_model, npz, read_npz
from hashbench.runner.steps import DefendedModel, GivenModel

_BUDGETS: Final = {Ties.WORST: BUDGET, Ties.EXPECTED: BUDGET // 4}
"""Completions that are looked at for one query, by order of ties: both orders of 500 queries with
up to 20 uncertain bits each stay within 15 seconds of a processor."""

NO_CERTIFICATE = "no certificate"
"""What opens every reason for which nothing is proven."""


def certificate(step: Certificate, store: Store, progress: Progress) -> Mapping[str, bytes]:
    """What is proven of a model; where nothing can be, the reason, and the run goes on."""
    setting = step.setting
    try:
        bits = _bits(step, store, progress)
    except UncertifiableError as error:
        return _nothing(str(error), {})
    share = float((bits != UNCERTAIN).mean())
    if share == 0:
        return _nothing(
            f"at eps {step.eps} its bounds prove no bit of any query",
            {Metric.CERTIFIED_BITS: share},
        )
    data, protocol, threads = data_of(setting), setting.source.protocol, setting.compute.threads
    database = read_npz(store, step.codes, CODES)["database"]
    asked = (bits, data.query.labels, database, data.database.labels)
    worst, mean = (
        certified_precision(
            *asked,
            top_k=protocol.top_k,
            normalize=protocol.normalize,
            ties=ties,
            budget=_BUDGETS[ties],
            threads=threads,
        )
        for ties in ORDERS_OF_PROOF
    )
    nearest = certified_nearest(*asked, threads=threads)
    arrays = (worst.average_precision, mean.average_precision, worst.uncertain, worst.exact)
    per_query = {
        name: np.asarray(values, dtype=np.float64)
        for name, values in zip(PER_QUERY_OF_PROOF, arrays, strict=True)
    }
    metrics = {
        certified(protocol.metric): float(worst.average_precision.mean()),
        under(certified(protocol.metric), Ties.EXPECTED): float(mean.average_precision.mean()),
        **_shares(worst, nearest, share),
    }
    return {SCORES: _summary(metrics, ""), PER_QUERY: npz(per_query)}


def is_certified(model: DefendedModel | GivenModel) -> bool:
    """Whether a model's defense is one that is trained for a certificate."""
    if isinstance(model, DefendedModel):
        return _certifies(type(model.defense))
    try:
        name = Spec.parse(model.defense).name
        found = plugins.registry(Kind.DEFENSE).find(Kind.DEFENSE, name).plugin
    except UsageError:  # any text may be the defense of a model that was made elsewhere
        return False
    return isinstance(found, type) and issubclass(found, Defense) and _certifies(found)


def _certifies(defense: type[Defense]) -> bool:
    return issubclass(defense, TrainedDefense) and defense.certifies


def _shares(found: CertifiedPrecision, nearest: CertifiedNearest, share: float) -> dict[str, float]:
    return {
        Metric.CERTIFIED_BITS: share,
        Metric.CERTIFIED_CODES: float((found.uncertain == 0).mean()),
        Metric.CERTIFIED_EXACT: float(found.exact.mean()),
        Metric.CERTIFIED_RECALL: float(nearest.relevant.mean()),
    }


def _nothing(reason: str, metrics: Mapping[str, float]) -> Mapping[str, bytes]:
    return {SCORES: _summary(metrics, f"{NO_CERTIFICATE}: {reason}")}


def _summary(metrics: Mapping[str, float], reason: str) -> bytes:
    said: dict[str, Any] = {"metrics": dict(metrics), "curve": {"recall": [], "precision": []}}
    if reason:
        said["reason"] = reason
    return (json.dumps(said, indent=2, allow_nan=False) + "\n").encode()


def _bits(step: Certificate, store: Store, progress: Progress) -> NDArray[np.int8]:
    """The proven bits of all queries, (Q, K).

    Raises:
        UncertifiableError: the model has no bounds; says why.
    """
    setting = step.setting
    if setting.compute.precision != Precision.FLOAT32:
        raise UncertifiableError(
            f"the model is computed in {setting.compute.precision}, and bounds are of float32"
        )
    model = load_model(step.codes.model, store)
    images, device = data_of(setting).query.images, device_of(model)
    found = []
    for start in range(0, len(images), CERTIFIED_TOGETHER):
        progress(start, len(images))
        part = as_images(images[start : start + CERTIFIED_TOGETHER], device)
        found.append(certified_bits(model, part, step.eps))
    progress(len(images), len(images))
    return np.concatenate(found)
