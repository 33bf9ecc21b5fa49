"""Sanity flags: when a robust number is not to be believed. Their codes and thresholds; pure.

`judging` has the rules. `docs/flags.md` explains every code; its thresholds are these. The file
lies outside the rooms that make artifacts: another threshold makes no result stale.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from hashbench.results.evidence import Evidence

PAGE = "docs/flags.md"
"""Where every code has its section."""

CHANCE_POINTS = 0.02
"""A clean mAP less than this above chance is at chance, however little room there is above it."""

CHANCE_SHARE = 0.05
"""... and so is one that went less than this share of the way from chance to a perfect mAP."""

CODES_PER_CLASS = 0.5
"""Fewer distinct database codes per class than this: classes share codes, two to a code or more.

A perfect `csq` model has one code per class and passes."""

LEAST_BIT_ENTROPY = 0.1
"""Mean entropy of a bit, in bits, below which nearly all images have one code.

A bit of that entropy is the same for 98.7 % of the database."""

DEPENDENT_SHARE = 0.02
"""Share of the asked queries above which codes depend on the company. None of them should; one of
the 64 may, where a step in the model (a rounded coefficient, say) turns with the last bit."""

DEPENDENT_ANSWERS = 0.25
"""The same of an attack's answers; of the 6 queries that are attacked again two have to differ."""

NO_GRADIENT_SHARE = 0.1
"""Share of queries without any gradient above which a robust mAP may owe too much to them.

A query without a meaning has no center code, and hence no gradient either: 2 % on FLICKR-25K."""

SATURATED_SHARE = 0.25
"""Share of saturated outputs above which attacks through tanh lack too many bits.

With half of a query's bits fixed and all others turned, its own class is as near as any other."""

BEATEN_POINTS = 0.005
"""An attack that leaves this much more mAP than another still counts as equal to it ..."""

BEATEN_SHARE = 0.01
"""... or this share of what lies between clean mAP and floor, whichever is more."""

REACHED_SHARE = 0.75
"""Share of the way from clean mAP to floor that an attack without a bound has to go."""

LEAST_AT_STAKE = 0.02
"""Where clean mAP and floor are nearer than this there is no way to go."""

UNBOUNDED = 1.0
"""The L-infinity radius, in `[0, 1]` pixels, from which on an attack may make any image."""

FALLEN_SHARE = 0.5
"""Share of the way from clean mAP to floor: a worst case that went further only passes chance."""


class Code(StrEnum):
    """The flags. Where there is room for one of them, the first that is up is named."""

    ATTACK_BEATS_CERTIFICATE = "attack-beats-certificate"
    CLEAN_AT_CHANCE = "clean-at-chance"
    COLLAPSED_CODES = "collapsed-codes"
    STOCHASTIC_CODES = "stochastic-codes"
    BATCH_DEPENDENT_CODES = "batch-dependent-codes"
    BATCH_DEPENDENT_ATTACK = "batch-dependent-attack"
    EPS_0_CHANGES_CODES = "eps-0-changes-codes"
    CODES_ALONE = "attacked-by-codes-alone"
    ZERO_GRADIENTS = "zero-gradients"
    SATURATED_OUTPUTS = "saturated-outputs"
    NOISE_BEATS_WHITE_BOX = "noise-beats-white-box"
    BLACK_BOX_BEATS_WHITE_BOX = "black-box-beats-white-box"
    TRANSFER_BEATS_WHITE_BOX = "transfer-beats-white-box"
    LARGER_EPS_HELPS = "larger-eps-helps"
    MORE_STEPS_HELP = "more-steps-help"
    UNBOUNDED_EPS_STOPS_SHORT = "unbounded-eps-stops-short"
    ROBUST_AT_CHANCE = "robust-at-chance"

    @property
    def page(self) -> str:
        """Where it is explained: `docs/flags.md#zero-gradients`."""
        return f"{PAGE}#{self}"


@dataclass(frozen=True)
class Flag:
    """A flag that is up, with its evidence.

    Attributes:
        code: which flag.
        words: the evidence, one sentence without its full stop.
    """

    code: Code
    words: str


def margin(evidence: Evidence) -> float:
    """How much more mAP an attack may leave than another and still count as equal to it."""
    if evidence.clean is None or evidence.floor is None:
        return BEATEN_POINTS
    return max(BEATEN_POINTS, BEATEN_SHARE * (evidence.clean - evidence.floor))


def least_useful(chance: float) -> float:
    """The least clean mAP, in `[0, 1]`, of a model that counts as retrieving anything.

    `chance + max(CHANCE_POINTS, CHANCE_SHARE * (1 - chance))`: 14.5 % where chance is 10 %, 36 %
    where it is 33 %.
    """
    return chance + max(CHANCE_POINTS, CHANCE_SHARE * (1 - chance))


def least_distinct_codes(classes: int, bits: int) -> int:
    """How many distinct database codes a model needs.

    Half as many as there are classes, but no more than half of all codes of that length, and two.
    """
    half = math.ceil(classes * CODES_PER_CLASS)
    return max(2, min(half, 1 << (bits - 1)))
