"""The names of metrics: scoring writes them, flags and reports read them, the CSV shows them.

A name is stored with every result. To rename one takes a migration of the stored scores.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from hashbench.retrieval import Ties

_TOWARD_TARGETS: Final = "t-"


class Metric(StrEnum):
    """What is measured besides mAP, whose name the protocol gives: `Protocol.metric`.

    Precisions and shares are in `[0, 1]`.
    """

    # Of clean queries, and of the codes of the model.
    CHANCE = "chance"  # mAP of a random order
    FLOOR = "floor"  # mAP of the opposite of the center codes
    CEILING = "ceiling"  # the largest mAP that the list length allows
    BIT_BALANCE = "bit-balance"
    BIT_ENTROPY = "bit-entropy"
    TIED = "tied"  # share of a list's items whose distance another item has too
    QUERIES_WITHOUT_RELEVANT = "queries-without-relevant"

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

    # Of the probe, see `hashbench.runner.probe`; stored with those of clean queries.
    PROBE_UNSTABLE = "probe-unstable"
    PROBE_MOVED = "probe-moved-at-eps-0"
    PROBE_DEPENDENT = "probe-batch-dependent"
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


def of_flag(code: str) -> str:
    """The name under which a data frame holds a flag that is up: `flag(zero-gradients)`."""
    return f"flag({code})"
