"""One row of a leaderboard: what a report knows of one defense. Plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from hashbench.reports.board.certified import Certified
from hashbench.reports.board.findings import Finding
from hashbench.reports.board.over_seeds import Entry
from hashbench.results.flags import Code

NOT_ASKED = "it was not asked for in these results"
"""The reason of a number whose cell does not exist, though the table has its column."""


@dataclass(frozen=True)
class Score:
    """A mAP under the three tie rules that every report carries, each in `[0, 1]`."""

    expected: Entry
    worst: Entry
    best: Entry


@dataclass(frozen=True)
class Quality:
    """How a model uses its bits, and what may keep an attack from working.

    Attributes:
        distinct_codes: of the database.
        bit_balance, bit_entropy: of the database's codes, in `[0, 1]`; 1 uses every bit fully.
        saturated: share of the clean queries' outputs that no gradient can leave.
        zero_gradients: share of queries without any gradient; the largest over the attacks.
        tied: share of items in a clean query's list whose distance another item has too.
    """

    distinct_codes: Entry
    bit_balance: Entry
    bit_entropy: Entry
    saturated: Entry
    zero_gradients: Entry
    tied: Entry


@dataclass(frozen=True, order=True)
class FallsShort:
    """An attack whose steps together are shorter than the radius: it cannot use all of the ball.

    Attributes:
        attack: its canonical name.
        reach: how far its steps can move a pixel, in `[0, 1]` pixels.
        steps: how many, where it has a parameter `steps`; else 0.
    """

    attack: str
    reach: float
    steps: float


@dataclass(frozen=True)
class Targeted:
    """What a targeted attack reached.

    Attributes:
        before: t-mAP of the clean queries: what is there without an attack.
        reached: t-mAP: mAP by what the query's target is relevant to; the attacker wants it high.
        own: mAP by what the query is relevant to.
        without_target: how many queries have no target, and score 0 in t-mAP.
    """

    before: Entry
    reached: Score
    own: Entry
    without_target: Entry


@dataclass(frozen=True)
class Cost:
    """What an attack takes for one query.

    Attributes:
        forwards, backwards: passes of one image through a model.
        seconds: on the machine that ran it, under whatever load it had.
    """

    forwards: Entry
    backwards: Entry
    seconds: Entry


@dataclass(frozen=True)
class Curve:
    """Precision at levels of recall, of one seed."""

    recall: tuple[float, ...]
    precision: tuple[float, ...]


@dataclass(frozen=True)
class Row:
    """One defense.

    Attributes:
        defense: canonical name; parameters that differ from the defaults are part of it.
        seeds: those that it was asked for.
        clean: mAP without an attack.
        attacked: mAP under each untargeted attack, in the leaderboard's order.
        targeted: the same of the targeted attacks.
        costs: of the untargeted attacks, then of the targeted ones.
        worst_case: mean over the queries of the lowest AP over the attacks that count in this
            table (`Leaderboard.shared`). A seed in which one of them failed or is missing has none.
        chance, floor: mAP of a random order, and of the opposite of the center codes.
        quality: of its codes.
        short: the attacks of either aim whose steps cannot reach the radius.
        found_again: queries that the database holds too.
        findings: why it is not ranked, a cell that has no result first; empty where it may be.
        asides: what else went wrong: attacks without a result that do not count here.
        rank: 1 is the most robust; `None` where it is not ranked.
        last_rank: the last rank below it that cannot be told from its own, see
            `hashbench.reports.board.uncertainty`; `None` where it is not ranked, or no interval is
            known, and equal to `rank` where it is told from all below it.
        first_rank: the same above it.
        curves: by untargeted attack, `none` included: one per seed that is done.
        certified: what is proven of it at this radius; `None` where nobody asked.
    """

    defense: str
    seeds: tuple[int, ...]
    clean: Score
    attacked: tuple[Score, ...]
    targeted: tuple[Targeted, ...]
    costs: tuple[Cost, ...]
    worst_case: Entry
    chance: Entry
    floor: Entry
    quality: Quality
    short: tuple[FallsShort, ...] = ()
    found_again: int = 0
    findings: tuple[Finding, ...] = ()
    asides: tuple[Finding, ...] = ()
    rank: int | None = None
    first_rank: int | None = None
    last_rank: int | None = None
    curves: Mapping[str, tuple[Curve, ...]] = field(default_factory=dict)
    certified: Certified | None = None

    @property
    def codes(self) -> tuple[Code, ...]:
        """The flags that are up."""
        return tuple(finding.code for finding in self.findings if finding.code is not None)

    @property
    def ranks(self) -> str:
        """Its rank, or the ranks that cannot be told from it: `2`, `1-3`; empty if not ranked."""
        if self.rank is None:
            return ""
        first, last = self.first_rank or self.rank, self.last_rank or self.rank
        return f"{first}" if first == last else f"{first}-{last}"


def not_asked(entry: Entry) -> bool:
    """Whether there is no number since nobody asked for one, in any seed."""
    return not entry.values and all(gap.reason == NOT_ASKED for gap in entry.gaps)
