"""When a model's numbers say nothing of robustness: the rules, each with its constant. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from hashbench.reports.entry import Entry, Gap

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

MASKED_SHARE = 0.5
"""Share of queries without any gradient above which attacks had nothing to follow."""


class Doubt(StrEnum):
    """Why a row is shown but not ranked."""

    INCOMPLETE = "a cell failed or was not run"
    AT_CHANCE = "the clean value is at chance"
    COLLAPSED = "the codes collapsed"
    MASKED = "the gradients are masked"


@dataclass(frozen=True)
class Finding:
    """A doubt, and in words what it rests on."""

    doubt: Doubt
    words: str


@dataclass(frozen=True)
class Evidence:
    """What a row is judged by.

    Attributes:
        clean: mAP without an attack.
        attacked: mAP by attack.
        distinct_codes, bit_entropy, zero_gradients: see `hashbench.reports.row.Quality`.
        chance: mAP of a random order; `None` where it is not known.
        classes, bits: of the data and of the codes.
    """

    clean: Entry
    attacked: tuple[tuple[str, Entry], ...]
    distinct_codes: Entry
    bit_entropy: Entry
    zero_gradients: Entry
    chance: float | None
    classes: int
    bits: int


def least_useful(chance: float) -> float:
    """The clean mAP from which on a model counts as one that retrieves anything, in `[0, 1]`.

    `chance + max(CHANCE_POINTS, CHANCE_SHARE * (1 - chance))`: 14.5 % where chance is 10 %, 36 %
    where it is 33 %. A single seed below it casts doubt on its row.
    """
    return chance + max(CHANCE_POINTS, CHANCE_SHARE * (1 - chance))


def least_distinct_codes(classes: int, bits: int) -> int:
    """How many distinct database codes a model needs.

    Half as many as there are classes, but no more than half of all codes of that length, and two.
    """
    half = math.ceil(classes * CODES_PER_CLASS)
    return max(2, min(half, 1 << (bits - 1)))


def printed(value: float) -> float:
    """A share in percent as a table prints it: to one decimal."""
    return round(100 * value, 1)


def at_or_below(value: float, chance: float) -> bool:
    """Whether a value is at or below chance as far as a table prints them."""
    return printed(value) <= printed(chance)


def findings(evidence: Evidence) -> tuple[Finding, ...]:
    """Every reason why a row is not ranked; none where it may be."""
    return (
        *_incomplete(evidence),
        *_at_chance(evidence),
        *_collapsed(evidence),
        *_masked(evidence),
    )


def _incomplete(evidence: Evidence) -> Iterator[Finding]:
    # Gaps of one reason together: a model that could not be trained is told once, not per attack.
    told: dict[Gap, list[str]] = {}
    for name, entry in (("clean", evidence.clean), *evidence.attacked):
        for gap in entry.gaps:
            told.setdefault(gap, []).append(name)
    for gap, names in sorted(told.items()):
        where = _seeds([gap.seed]) if evidence.clean.seeds > 1 else ""
        reason = f": {gap.reason}" if gap.reason else ""
        yield Finding(Doubt.INCOMPLETE, f"{', '.join(names)}{where} {gap.status}{reason}")


def _at_chance(evidence: Evidence) -> Iterator[Finding]:
    if evidence.chance is None:
        return
    line = least_useful(evidence.chance)
    low = [(seed, value) for seed, value in evidence.clean.values if value < line]
    if low:
        values = ", ".join(f"{printed(value):.1f}" for _, value in low)
        yield Finding(
            Doubt.AT_CHANCE,
            f"its clean value, {values}{_at(low, evidence)}, is at chance "
            f"({printed(evidence.chance):.1f}; {printed(line):.1f} or more is asked for): a model "
            "that retrieves nothing leaves an attack nothing to break",
        )


def _collapsed(evidence: Evidence) -> Iterator[Finding]:
    least = least_distinct_codes(evidence.classes, evidence.bits)
    few = [(seed, value) for seed, value in evidence.distinct_codes.values if value < least]
    if few:
        counts = ", ".join(f"{value:.0f}" for _, value in few)
        yield Finding(
            Doubt.COLLAPSED,
            f"its codes collapsed: distinct codes in the database {counts}{_at(few, evidence)}, "
            f"{least} or more are asked for of {evidence.classes} classes in {evidence.bits} bits",
        )
    poor = [(s, value) for s, value in evidence.bit_entropy.values if value < LEAST_BIT_ENTROPY]
    if poor:
        values = ", ".join(f"{value:.2f}" for _, value in poor)
        yield Finding(
            Doubt.COLLAPSED,
            f"its codes collapsed: mean entropy of a bit {values}{_at(poor, evidence)}, "
            f"{LEAST_BIT_ENTROPY} or more is asked for",
        )


def _masked(evidence: Evidence) -> Iterator[Finding]:
    blind = [(s, value) for s, value in evidence.zero_gradients.values if value > MASKED_SHARE]
    if blind:
        shares = ", ".join(f"{printed(value):.1f}" for _, value in blind)
        yield Finding(
            Doubt.MASKED,
            f"its gradients are masked: {shares} % of the queries{_at(blind, evidence)} give an "
            "attack no gradient to follow",
        )


def _at(found: Sequence[tuple[int, float]], evidence: Evidence) -> str:
    return _seeds([seed for seed, _ in found]) if evidence.clean.seeds > 1 else ""


def _seeds(seeds: Sequence[int]) -> str:
    word = "seed" if len(seeds) == 1 else "seeds"
    return f" ({word} {', '.join(str(seed) for seed in seeds)})"
