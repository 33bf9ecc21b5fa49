"""The names of metrics: scoring writes them, flags and reports read them, the CSV shows them.

A name is stored with every result. To rename one takes a migration of the stored scores.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from hashbench.retrieval import Ties

_TOWARD_TARGETS: Final = "t-"
_CERTIFIED: Final = "certified_"


class Metric(StrEnum):
    """What is measured besides mAP, whose name the protocol gives: `Protocol.metric`.

    Precisions and shares are in `[0, 1]`; `largest` says it of each.
    """

    # Of clean queries, and of the codes of the model.
    CHANCE = "chance"  # mAP of a random order
    FLOOR = "floor"  # mAP of the opposite of the center codes
    CEILING = "ceiling"  # the largest mAP that the list length allows
    BIT_BALANCE = "bit-balance"
    BIT_ENTROPY = "bit-entropy"
    TIED = "tied"  # share of a list's items whose distance another item has too
    QUERIES_WITHOUT_RELEVANT = "queries-without-relevant"
    QUERIES_IN_DATABASE = "queries-in-database"  # with the same content; left out where 0

    # Of clean queries and of attacked ones.
    DISTINCT_CODES = "distinct-codes"
    SATURATED = "saturated"  # share of outputs with |u| = 1
    QUERIES_WITHOUT_TARGET = "queries-without-target"  # where there are targets

    # Of attacked queries.
    FLIPPED_BITS = "flipped-bits"
    ZERO_GRADIENTS = "zero-gradients"  # share of queries without any gradient
    LINF = "linf"  # largest change of a pixel
    L2 = "l2"  # mean length of the change
    FORWARDS = "forwards"  # passes for one query
    BACKWARDS = "backwards"
    DEPENDENT = "batch-dependent"  # share of some queries whose answer depends on the others

    # Of a certificate, beside its mAP (`certified`); see `hashbench.certifying`.
    CERTIFIED_BITS = "certified_bits"  # share of the queries' bits that are proven
    CERTIFIED_CODES = "certified_codes"  # share of the queries all of whose bits are proven
    CERTIFIED_EXACT = "certified_exact"  # share of the queries whose AP some bits do have
    CERTIFIED_RECALL = "certified_recall@1"  # share of the queries whose first item stays relevant

    # Of the probe, see `hashbench.runner.probe`; stored with those of clean queries.
    PROBE_UNSTABLE = "probe-unstable"
    PROBE_MOVED = "probe-moved-at-eps-0"
    PROBE_DEPENDENT = "probe-batch-dependent"
    PROBE_CODES_ALONE = "probe-codes-alone"  # 1 where a model gives no gradient; else left out
    PROBE_CLEAN = "probe-clean"
    PROBE_UNBOUNDED = "probe-unbounded"
    PROBE_FLOOR = "probe-floor"


def under(metric: str, ties: Ties) -> str:
    """The name of a mAP under another order of ties than the protocol's: `map(ties=worst)`."""
    return f"{metric}(ties={ties})"


def toward_targets(metric: str) -> str:
    """The name of a mAP by what an attack's target is relevant to: `t-map`."""
    return _TOWARD_TARGETS + metric


def is_toward_targets(name: str) -> bool:
    """Whether a name is one of `toward_targets`."""
    return name.startswith(_TOWARD_TARGETS)


def certified(metric: str) -> str:
    """The name of the mAP that is proven: `certified_map`, `certified_map@5000`."""
    return _CERTIFIED + metric


def is_certified(name: str) -> bool:
    """Whether a name is one of a certificate's metrics."""
    return name.startswith(_CERTIFIED)


def of_flag(code: str) -> str:
    """The name under which a data frame holds a flag that is up: `flag(zero-gradients)`."""
    return f"flag({code})"


def of_conflict(name: str) -> str:
    """The name under which a data frame holds what another folder says: `conflict(map)`."""
    return f"conflict({name})"


NOT_READ: Final = "not-read"
"""The metric of a data frame's row that says what of the folders could not be read."""


def spoken(name: str) -> str:
    """The name of a mAP as people write it: `mAP@5000`, `t-mAP`."""
    return name.replace("map", "mAP", 1)


_UNBOUNDED: Final = frozenset(
    {
        Metric.QUERIES_WITHOUT_RELEVANT,
        Metric.QUERIES_IN_DATABASE,
        Metric.QUERIES_WITHOUT_TARGET,
        Metric.DISTINCT_CODES,
        Metric.L2,
        Metric.FORWARDS,
        Metric.BACKWARDS,
    }
)
"""Counts and lengths. All others are shares, precisions, entropies of a bit, changes of a pixel."""

_NAMES: Final = frozenset(Metric)

_MAP: Final = re.compile(r"(t-|certified_)?map(@\d{1,9})?(\(ties=[a-z]+\))?")

_ROUNDING: Final = 1e-9
"""By how much a mean over millions of float64 may leave the range of what it is the mean of."""


def is_in_range(name: str, value: float) -> bool:
    """Whether a metric may have this value: it is finite, not below 0, and at most `largest`.

    A name that this version does not know may have any finite value.
    """
    if name not in _NAMES and not _MAP.fullmatch(name):
        return math.isfinite(value)
    return -_ROUNDING <= value <= largest(name) + _ROUNDING and math.isfinite(value)


def largest(name: str) -> float:
    """The largest value that a metric can have: 1, or infinity for counts and lengths."""
    return math.inf if name in _UNBOUNDED else 1.0


def wrong_metric(metrics: Mapping[str, float]) -> str | None:
    """The name of a metric whose value is out of its range; `None` where all are right."""
    return next((name for name, value in metrics.items() if not is_in_range(name, value)), None)
