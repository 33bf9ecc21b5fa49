"""One row of a leaderboard: one defense, read out of its cells. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from hashbench.reports.entry import Entry, Gap, collect
from hashbench.reports.judgement import Evidence, Finding, findings
from hashbench.runner.cell import CLEAN
from hashbench.runner.results import WORST_CASE, CellResult, Results, Status

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
        attacked: mAP under each attack, in the leaderboard's order.
        worst_case: mean over the queries of the lowest AP over all attacks. A seed in which an
            attack failed or is missing has none.
        chance, floor: mAP of a random order, and of the opposite of the center codes.
        quality: of its codes.
        findings: why it is not ranked; empty where it may be.
        rank: 1 is the most robust; `None` where it is not ranked.
        curves: by attack, `none` included: one per seed that is done.
    """

    defense: str
    seeds: tuple[int, ...]
    clean: Score
    attacked: tuple[Score, ...]
    worst_case: Entry
    chance: Entry
    floor: Entry
    quality: Quality
    findings: tuple[Finding, ...] = ()
    rank: int | None = None
    curves: Mapping[str, tuple[Curve, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class RowReader:
    """Reads one row out of the cells of one defense.

    Attributes:
        defense: whose.
        attacks: the table's columns.
        cells: its clean cells, and those of these attacks at one radius.
        results: where they come from.
        metric: the canonical name of mAP.
    """

    defense: str
    attacks: tuple[str, ...]
    cells: Sequence[CellResult]
    results: Results
    metric: str

    def read(self) -> Row:
        """The row, not yet judged nor ranked."""
        clean = self._clean
        return Row(
            defense=self.defense,
            seeds=self._seeds,
            clean=self._score(CLEAN),
            attacked=tuple(self._score(attack) for attack in self.attacks),
            worst_case=self._entry(self._worst_case),
            chance=clean("chance"),
            floor=clean("floor"),
            quality=Quality(
                distinct_codes=clean("distinct-codes"),
                bit_balance=clean("bit-balance"),
                bit_entropy=clean("bit-entropy"),
                saturated=clean("saturated"),
                zero_gradients=self._entry(self._zero_gradients),
                tied=clean("tied"),
            ),
            curves={attack: self._curves(attack) for attack in (CLEAN, *self.attacks)},
        )

    @property
    def _seeds(self) -> tuple[int, ...]:
        # A clean cell may serve other radii with more seeds than this one was asked for.
        attacked = {r.cell.seed for r in self.cells if r.cell.attack != CLEAN}
        return tuple(sorted(attacked or {r.cell.seed for r in self.cells}))

    def _find(self, attack: str, seed: int) -> CellResult | Gap:
        for result in self.cells:
            if (result.cell.attack, result.cell.seed) == (attack, seed):
                if result.status is Status.DONE:
                    return result
                return Gap(seed, result.status, " ".join(result.reason.split()))
        return Gap(seed, Status.MISSING, NOT_ASKED)

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

    def _score(self, attack: str) -> Score:
        def under(ties: str) -> Entry:
            return self._entry(lambda seed: self._metric(attack, seed, self.metric + ties))

        return Score(expected=under(""), worst=under("(ties=worst)"), best=under("(ties=best)"))

    def _worst_case(self, seed: int) -> float | Gap:
        for attack in self.attacks:
            found = self._find(attack, seed)
            if isinstance(found, Gap):
                # A minimum over fewer attacks would flatter.
                return replace(found, reason=f"{attack}: {found.reason}")
            scores = self.results.worst_cases.get(replace(found.cell, attack=WORST_CASE))
        if not self.attacks or scores is None or not scores.size:
            return Gap(seed, Status.MISSING, "no attack was run")
        return float(scores.mean())

    def _zero_gradients(self, seed: int) -> float | Gap:
        found = [self._metric(attack, seed, "zero-gradients") for attack in self.attacks]
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


def judged(
    row: Row, attacks: tuple[str, ...], chance: float | None, classes: int, bits: int
) -> Row:
    """The row with what casts doubt on it."""
    evidence = Evidence(
        clean=row.clean.expected,
        attacked=tuple(
            (attack, score.expected) for attack, score in zip(attacks, row.attacked, strict=True)
        ),
        distinct_codes=row.quality.distinct_codes,
        bit_entropy=row.quality.bit_entropy,
        zero_gradients=row.quality.zero_gradients,
        chance=chance,
        classes=classes,
        bits=bits,
    )
    return replace(row, findings=findings(evidence))
