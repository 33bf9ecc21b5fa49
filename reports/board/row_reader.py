"""Reads one row of a leaderboard, one defense, out of its cells. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hashbench.eps import Norm
from hashbench.reports.board.findings import flagged, incomplete
from hashbench.reports.board.over_seeds import Entry, Gap, collect
from hashbench.reports.board.row import (
    NOT_ASKED,
    Cost,
    Curve,
    FallsShort,
    Quality,
    Row,
    Score,
    Targeted,
)
from hashbench.results.cell import CLEAN, WORST_CASE, CellResult, Status
from hashbench.results.flags import Flag
from hashbench.results.intervals import over_seeds
from hashbench.results.metrics import Metric, toward_targets, under
from hashbench.results.results import Results
from hashbench.results.sanity import STEPS
from hashbench.retrieval import Ties

ROUNDING = 1e-9
"""A reach that is short of the radius by this share of it is not short."""


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


def _asked_for(entry: Entry) -> Entry:
    """A number over the seeds that it was asked for in."""
    return replace(entry, gaps=tuple(gap for gap in entry.gaps if gap.reason != NOT_ASKED))
