"""A model as a page shows it: a row of its leaderboard and a section of its own. Plain data."""

from __future__ import annotations

from dataclasses import dataclass

from hashbench.plugins.bibliography import Reference
from hashbench.reports.page.numbers import NO_NUMBER, Number
from hashbench.reports.page.pictures import Shown
from hashbench.reports.page.plots import Plot


@dataclass(frozen=True)
class AttackLine:
    """What one attack left of a model.

    Attributes:
        id: the name that a link to this cell takes.
        name: of the attack; `clean` where there was none.
        number: mAP.
        ties: in the worst and the best order of ties, `67.9 to 75.1`.
        forward, backward, seconds: passes and seconds for one query.
        counts: whether it is part of the worst case.
    """

    id: str
    name: str
    number: Number
    ties: str
    forward: str = ""
    backward: str = ""
    seconds: str = ""
    counts: bool = True


@dataclass(frozen=True)
class TargetLine:
    """What one targeted attack reached: t-mAP before and after, the query's own mAP, lost ones."""

    id: str
    name: str
    before: Number
    reached: Number
    own: Number
    without: str


@dataclass(frozen=True)
class Place:
    """Where one number comes from, in words; `made` is a time."""

    what: str
    folder: str
    key: str
    made: str


@dataclass(frozen=True)
class Exhibition:
    """The pictures of one attacked cell."""

    id: str
    attack: str
    seed: int
    shown: tuple[Shown, ...]


@dataclass(frozen=True)
class Model:
    """One defense in one table.

    Attributes:
        id: the name of its section.
        defense: as a report writes it.
        rank: `1`, `1-3` with a longer dash where ranks cannot be told apart, `!` flagged.
        rank_words: the same, spoken.
        place: the rank it is sorted by; empty where it has none.
        clean, worst: mAP; `chance` in percent.
        proven: mAP that is proven; `proof_rank` its rank by it, empty where it has none.
        mean_order: what is proven of the mean over the orders of ties, in percent; empty where
            that is not known.
        codes: of the flags that are up.
        reasons: why it is not ranked or what else went wrong; each a code, or empty, and words.
        lines: its attacks, clean queries first.
        targets: its targeted attacks.
        facts: the card, name and value.
        places: where its numbers come from.
        more_places: how many of them are left out.
        commands: measure it again.
        sources: what it is built on.
        curves: precision over recall.
        exhibitions: pictures.
        seeds: how many.
        has_section: whether it has one.
    """

    id: str
    defense: str
    rank: str
    rank_words: str
    place: str
    clean: Number
    worst: Number
    chance: str
    codes: tuple[str, ...]
    reasons: tuple[tuple[str, str, str], ...]
    lines: tuple[AttackLine, ...]
    targets: tuple[TargetLine, ...]
    facts: tuple[tuple[str, str], ...]
    places: tuple[Place, ...]
    more_places: int
    commands: str
    sources: tuple[Reference, ...]
    curves: Plot | None
    seeds: int
    exhibitions: tuple[Exhibition, ...] = ()
    proven: Number = NO_NUMBER
    proof_rank: str = ""
    mean_order: str = ""
    has_section: bool = True
