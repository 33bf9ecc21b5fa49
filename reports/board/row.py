"""One row of a leaderboard: one defense, read out of its cells. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hashbench.eps import Norm
from hashbench.reports.board.certified import Certified
from hashbench.reports.board.findings import Finding, flagged, incomplete
from hashbench.reports.board.over_seeds import Entry, Gap, collect
from hashbench.results.cell import CLEAN, WORST_CASE, CellResult, Status
from hashbench.results.flags import Code, Flag
from hashbench.results.intervals import over_seeds
from hashbench.results.metrics import Metric, toward_targets, under
from hashbench.results.results import Results
from hashbench.results.sanity import STEPS
from hashbench.retrieval import Ties

NOT_ASKED = "it was not asked for in these results"
"""The reason of a number whose cell does not exist, though the table has its column."""


ROUNDING = 1e-9
"""A reach that is short of the radius by this share of it is not short."""


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


def _asked_for(entry: Entry) -> Entry:
    """A number over the seeds that it was asked for in."""
    return replace(entry, gaps=tuple(gap for gap in entry.gaps if gap.reason != NOT_ASKED))


@dataclass(frozen=True)
class RowReader:
    """Reads one row out of the cells of one defense.

    Attributes:
        defense: whose.
        attacks: the table's untargeted attacks.
        targeted: its targeted ones.
        cells: its clean cells, and those of these attacks at one radius.
        results: where they come from.
        metric: the canonical name of mAP.
    """

    defense: str
    attacks: tuple[str, ...]
    targeted: tuple[str, ...]
    cells: Sequence[CellResult]
    results: Results
    metric: str

    def read(self, shared: Collection[str]) -> Row:
        """The row, not yet ranked.

        Args:
            shared: the attacks that count here, of `attacks`.
        """
        clean = self._clean
        unattacked = self._score(CLEAN, self.metric)
        attacked = tuple(self._score(attack, self.metric) for attack in self.attacks)
        numbers = [
            (name, score.expected) for name, score in zip(self.attacks, attacked, strict=True)
        ]
        # What nobody asked for is no reason: see `what_counts`.
        tried = [(name, _asked_for(entry)) for name, entry in numbers]
        counted = [("clean", unattacked.expected), *(n for n in tried if n[0] in shared)]
        others = [n for n in tried if n[0] not in shared]
        return Row(
            defense=self.defense,
            seeds=self._seeds,
            clean=unattacked,
            attacked=attacked,
            targeted=tuple(self._targeted(attack) for attack in self.targeted),
            costs=tuple(self._cost(attack) for attack in (*self.attacks, *self.targeted)),
            worst_case=self._entry(lambda seed: self._worst_case(seed, shared)),
            chance=clean(Metric.CHANCE),
            floor=clean(Metric.FLOOR),
            quality=Quality(
                distinct_codes=clean(Metric.DISTINCT_CODES),
                bit_balance=clean(Metric.BIT_BALANCE),
                bit_entropy=clean(Metric.BIT_ENTROPY),
                saturated=clean(Metric.SATURATED),
                zero_gradients=self._entry(self._zero_gradients),
                tied=clean(Metric.TIED),
            ),
            short=tuple(
                sorted({short for result in self.cells if (short := _falls_short(result))})
            ),
            found_again=int(
                max(
                    (one.metrics.get(Metric.QUERIES_IN_DATABASE, 0) for one in self.cells),
                    default=0,
                )
            ),
            findings=(
                *incomplete(counted),
                *flagged(self.flags),
            ),
            asides=tuple(incomplete(others)),
            curves={attack: self._curves(attack) for attack in (CLEAN, *self.attacks)},
        )

    def asked(self) -> frozenset[str]:
        """The untargeted attacks that were asked for in every seed of the row."""
        cells = self._cells
        seeds = self._seeds
        return frozenset(
            attack for attack in self.attacks if all((attack, seed) in cells for seed in seeds)
        )

    def per_query(self, attack: str) -> NDArray[np.float64]:
        """AP of each query under an attack, or `none`: (Q,), the mean over the seeds that are done.

        Empty where none is.
        """
        found = [self._find(attack, seed) for seed in self._seeds]
        return over_seeds([one.per_query for one in found if not isinstance(one, Gap)])

    def minima(self, shared: Collection[str]) -> NDArray[np.float64]:
        """The same of the lowest over these attacks, in each seed."""
        found = [self._minima(seed, shared) for seed in self._seeds]
        return over_seeds([one for one in found if not isinstance(one, Gap)])

    def done(self, attack: str) -> bool:
        """Whether an attack, or `none` for the clean queries, has its number in every seed."""
        return self._attacked(attack, self.metric).complete

    @cached_property
    def flags(self) -> dict[int, tuple[Flag, ...]]:
        """The flags that are up, by seed."""
        return {seed: self._flags(seed) for seed in self._seeds}

    @cached_property
    def _cells(self) -> dict[tuple[str, int], CellResult]:
        """The cells by attack and seed; the first of a place speaks for it."""
        found: dict[tuple[str, int], CellResult] = {}
        for result in self.cells:
            found.setdefault((result.cell.attack, result.cell.seed), result)
        return found

    @cached_property
    def _seeds(self) -> tuple[int, ...]:
        # A clean cell may serve other radii with more seeds than this one was asked for.
        attacked = {r.cell.seed for r in self.cells if r.cell.attack != CLEAN}
        return tuple(sorted(attacked or {r.cell.seed for r in self.cells}))

    def _find(self, attack: str, seed: int) -> CellResult | Gap:
        result = self._cells.get((attack, seed))
        if result is None:
            return Gap(seed, Status.MISSING, NOT_ASKED)
        if result.status is Status.DONE:
            return result
        return Gap(seed, result.status, " ".join(result.reason.split()))

    def _entry(self, read: Callable[[int], float | Gap]) -> Entry:
        return collect({seed: read(seed) for seed in self._seeds})

    def _metric(self, attack: str, seed: int, metric: str) -> float | Gap:
        found = self._find(attack, seed)
        if isinstance(found, Gap):
            return found
        value = found.metrics.get(metric)
        return Gap(seed, Status.MISSING, f"no metric {metric}") if value is None else value

    def _clean(self, metric: str) -> Entry:
        return self._entry(lambda seed: self._metric(CLEAN, seed, metric))

    def _attacked(self, attack: str, metric: str) -> Entry:
        return self._entry(lambda seed: self._metric(attack, seed, metric))

    def _score(self, attack: str, metric: str) -> Score:
        return Score(
            expected=self._attacked(attack, metric),
            worst=self._attacked(attack, under(metric, Ties.WORST)),
            best=self._attacked(attack, under(metric, Ties.BEST)),
        )

    def _targeted(self, attack: str) -> Targeted:
        metric = toward_targets(self.metric)
        return Targeted(
            before=self._clean(metric),
            reached=self._score(attack, metric),
            own=self._attacked(attack, self.metric),
            without_target=self._attacked(attack, Metric.QUERIES_WITHOUT_TARGET),
        )

    def _cost(self, attack: str) -> Cost:
        def seconds(seed: int) -> float | Gap:
            found = self._find(attack, seed)
            if isinstance(found, Gap):
                return found
            if found.seconds is None:
                return Gap(seed, Status.MISSING, "its time is not known")
            return found.seconds

        return Cost(
            forwards=self._attacked(attack, Metric.FORWARDS),
            backwards=self._attacked(attack, Metric.BACKWARDS),
            seconds=self._entry(seconds),
        )

    def _flags(self, seed: int) -> tuple[Flag, ...]:
        """Of the model of that seed at this radius; of its clean cell if nobody attacked it."""
        names = (*self.attacks, *self.targeted, CLEAN)
        found = (self._cells.get((name, seed)) for name in names)
        cell = next((result.cell for result in found if result is not None), None)
        if cell is None:
            return ()
        key = cell if cell.attack == CLEAN else replace(cell, attack=WORST_CASE)
        return self.results.flags.get(key, ())

    def _worst_case(self, seed: int, shared: Collection[str]) -> float | Gap:
        found = self._minima(seed, shared)
        return found if isinstance(found, Gap) else float(found.mean())

    def _minima(self, seed: int, shared: Collection[str]) -> NDArray[np.float64] | Gap:
        scores = []
        for attack in self.attacks:
            if attack not in shared:
                continue
            found = self._find(attack, seed)
            if isinstance(found, Gap):
                # A minimum over fewer attacks would flatter.
                said = found.reason if found.reason == NOT_ASKED else f"{attack}: {found.reason}"
                return replace(found, reason=said)
            scores.append(found.per_query)
        if not scores or not scores[0].size:
            return Gap(seed, Status.MISSING, "no attack was run")
        lowest: NDArray[np.float64] = np.minimum.reduce(scores)
        return lowest

    def _zero_gradients(self, seed: int) -> float | Gap:
        attacks = (*self.attacks, *self.targeted)
        found = [self._metric(attack, seed, Metric.ZERO_GRADIENTS) for attack in attacks]
        values = [value for value in found if not isinstance(value, Gap)]
        gaps = [value for value in found if isinstance(value, Gap)]
        if values:
            return max(values)
        return gaps[0] if gaps else Gap(seed, Status.MISSING, "no attack was run")

    def _curves(self, attack: str) -> tuple[Curve, ...]:
        found = [self._find(attack, seed) for seed in self._seeds]
        return tuple(
            Curve(result.recall, result.precision)
            for result in found
            if not isinstance(result, Gap) and result.recall
        )


def _falls_short(result: CellResult) -> FallsShort | None:
    """Whether a cell that has a number is of an attack that stops before it has used its ball."""
    facts = result.attack
    if facts is None or facts.reach is None or result.status is not Status.DONE:
        return None
    # In an L2 ball a pixel need not go far.
    if result.cell.radius.norm is not Norm.LINF:
        return None
    # Steps are sums of floats: 24 times 1/255 may fall short of 24/255 by the last bit.
    if facts.reach >= float(result.cell.radius) * (1 - ROUNDING):
        return None
    steps = facts.parameters.get(STEPS)
    return FallsShort(
        result.cell.attack, facts.reach, float(steps) if isinstance(steps, int | float) else 0.0
    )
