"""Two defenses on the same cells: their paired differences, and the queries that make them. Pure.

A query is hard for every model; what tells two of them apart is the difference query by query.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hashbench.errors import UsageError
from hashbench.results.cell import CLEAN, WORST_CASE, Cell, CellResult, Status
from hashbench.results.gallery import Exhibit
from hashbench.results.intervals import APART, Interval, are_apart, intervals, over_seeds
from hashbench.results.results import Results
from hashbench.results.selection import Selection, selected

SAME: Final = 1e-9
"""Two average precisions that differ by no more are one: only the order of a sum parts them."""

Scores = NDArray[np.float64]


@dataclass(frozen=True)
class Contrast:
    """Two models under one attack.

    Attributes:
        attack: its canonical name; `none` for clean queries, `worst-case` for the lowest per query
            over all attacks that both have.
        first, second: AP of each query, (Q,), the mean over the seeds that both have.
        interval: 95 % interval of the mean difference, first minus second; `None` of one query.
        apart: whether 0 lies outside of its 99 % interval, as ranks are judged.
    """

    attack: str
    first: Scores
    second: Scores
    interval: Interval | None
    apart: bool

    @property
    def gaps(self) -> Scores:
        """First minus second, by query."""
        return self.first - self.second

    @property
    def wins(self) -> tuple[int, int]:
        """For how many queries the first has the higher AP, and for how many the second."""
        gaps = self.gaps
        return int((gaps > SAME).sum()), int((gaps < -SAME).sum())

    def most_different(self, count: int, among: Sequence[int] | None = None) -> list[int]:
        """The places of the queries where they differ most, the largest gap first.

        Args:
            count: how many at most; queries without a gap are none of them.
            among: the places to look at; all by default.
        """
        gaps = np.abs(self.gaps).round(9)  # equal ones in the order of the queries
        places = range(gaps.size) if among is None else sorted(set(among))
        found = [place for place in places if place < gaps.size and gaps[place] > 0]
        return sorted(found, key=lambda place: (-gaps[place], place))[:count]


@dataclass(frozen=True)
class Comparison:
    """Two defenses of one table: same data, loss, backbone, bits, radius and training.

    Attributes:
        setting: what they share, as a cell; its defense is empty.
        first, second: canonical names of the defenses.
        seeds: those that both have.
        clean: without an attack; `None` where one of them has no such cell.
        attacked: under each untargeted attack that both have in all seeds, the control too.
        worst_case: per query the lowest of these; `None` where there is none.
        left_out: attacks that one of them lacks, in one of the seeds.
        cells: of the first seed, by attack: those of the first and of the second.
    """

    setting: Cell
    first: str
    second: str
    seeds: tuple[int, ...]
    clean: Contrast | None
    attacked: tuple[Contrast, ...]
    worst_case: Contrast | None
    left_out: tuple[str, ...]
    cells: Mapping[str, tuple[Cell, Cell]]

    @property
    def contrasts(self) -> tuple[Contrast, ...]:
        """All of them, the worst case last."""
        ends = ((self.clean,), self.attacked, (self.worst_case,))
        return tuple(one for part in ends for one in part if one is not None)

    @property
    def judged(self) -> Contrast:
        """The worst case; of models that nobody attacked, the clean queries."""
        return self.contrasts[-1]


def compared(results: Results, first: str, second: str) -> tuple[Comparison, ...]:
    """Compare two defenses wherever the results hold both.

    Args:
        results: of any cells.
        first: a defense, as it was typed: by name, or by its canonical text.
        second: another one.

    Returns:
        One for each table that both stand in, in the order of the tables' fields; at least one.

    Raises:
        UsageError: a name is that of no defense here, or of several, or both are the same; or there
            is no table that both stand in.
    """
    names = (_defense(results, first), _defense(results, second))
    if names[0] == names[1]:
        raise UsageError(f"'{first}' and '{second}' are one defense here: name two")
    tables = [found for found in _tables(results, names) if found is not None]
    if not tables:
        raise UsageError(
            f"these results hold no cell that is done for both '{names[0]}' and '{names[1]}': they "
            "need the same data, loss, backbone, bits, training, radius, attack and seed"
        )
    return tuple(tables)


def _defense(results: Results, text: str) -> str:
    """The canonical name of a defense in these results."""
    part = selected(results, Selection(defense=(text,)))
    found = sorted({result.cell.defense for result in part.cells})
    if text.strip() in found:
        return text.strip()
    if len(found) > 1:
        raise UsageError(f"'{text}' is several defenses here; name one of them: {'; '.join(found)}")
    return found[0]


def _tables(results: Results, names: tuple[str, str]) -> Iterator[Comparison | None]:
    """A comparison for each setting of both; a clean cell counts for every radius."""
    done = [
        result
        for result in results.cells
        if result.status is Status.DONE
        and result.cell.defense in names
        and result.per_query.size
        and not result.cell.is_certificate
    ]
    clean: dict[Cell, list[CellResult]] = {}
    attacked: dict[Cell, list[CellResult]] = {}
    for result in done:
        where = clean if result.cell.attack == CLEAN else attacked
        if not result.targeted:
            where.setdefault(_setting(result.cell), []).append(result)
    for setting, cells in sorted(attacked.items(), key=lambda pair: _order(pair[0])):
        yield _comparison(setting, cells, clean.get(replace(setting, eps="0"), []), names)
    for setting, cells in sorted(clean.items()):
        if not any(replace(other, eps="0") == setting for other in attacked):
            yield _comparison(setting, [], cells, names)


def _setting(cell: Cell) -> Cell:
    return replace(cell, defense="", attack="", seed=0)


def _order(cell: Cell) -> tuple[object, ...]:
    return (cell.dataset, cell.loss, cell.backbone, cell.bits, cell.radius, cell)


def _comparison(
    setting: Cell,
    attacked: Sequence[CellResult],
    clean: Sequence[CellResult],
    names: tuple[str, str],
) -> Comparison | None:
    """Of one table; `None` where no seed has a cell of both."""
    found = {(one.cell.defense, one.cell.attack, one.cell.seed): one for one in (*clean, *attacked)}

    def seeds_of(cells: Sequence[CellResult], name: str) -> set[int]:
        return {one.cell.seed for one in cells if one.cell.defense == name}

    deciding = attacked or clean
    seeds = sorted(seeds_of(deciding, names[0]) & seeds_of(deciding, names[1]))

    def both(attack: str) -> list[tuple[Scores, Scores]] | None:
        """By seed; `None` where one of them lacks it in a seed."""
        pairs = [
            tuple(one.per_query for name in names if (one := found.get((name, attack, seed))))
            for seed in seeds
        ]
        if any(len(pair) < 2 or pair[0].size != pair[1].size for pair in pairs):
            return None
        return [(pair[0], pair[1]) for pair in pairs]

    attacks = sorted({one.cell.attack for one in attacked}, key=lambda a: (a != "noise", a))
    shared = {attack: pairs for attack in attacks if (pairs := both(attack))}
    unattacked = both(CLEAN)
    rows: dict[str, list[tuple[Scores, Scores]]] = {CLEAN: unattacked} if unattacked else {}
    rows |= shared
    if shared:
        rows[WORST_CASE] = [
            (
                np.minimum.reduce([pairs[place][0] for pairs in shared.values()]),
                np.minimum.reduce([pairs[place][1] for pairs in shared.values()]),
            )
            for place in range(len(seeds))
        ]
    if not seeds or not rows:
        return None
    contrasts = _contrasts(rows)
    return Comparison(
        setting=setting,
        first=names[0],
        second=names[1],
        seeds=tuple(seeds),
        clean=contrasts.get(CLEAN),
        attacked=tuple(contrasts[attack] for attack in shared),
        worst_case=contrasts.get(WORST_CASE),
        left_out=tuple(attack for attack in attacks if attack not in shared),
        cells={
            attack: (
                found[names[0], attack, seeds[0]].cell,
                found[names[1], attack, seeds[0]].cell,
            )
            for attack in shared
        },
    )


def _contrasts(rows: Mapping[str, Sequence[tuple[Scores, Scores]]]) -> dict[str, Contrast]:
    means = {
        attack: (over_seeds([pair[0] for pair in pairs]), over_seeds([pair[1] for pair in pairs]))
        for attack, pairs in rows.items()
    }
    gaps = [first - second for first, second in means.values()]
    sure, surer = intervals(gaps), intervals(gaps, APART)
    return {
        attack: Contrast(attack, first, second, near, are_apart(far))
        for (attack, (first, second)), near, far in zip(means.items(), sure, surer, strict=True)
    }


@dataclass(frozen=True)
class Pictured:
    """One query with the pictures that were kept of it, of the first seed.

    Attributes:
        query: its place among the queries.
        labels: the names of its classes.
        first, second: under the attack that leaves least of it, of those whose pictures were kept:
            the attack's name, and the pictures. `None` where none were.
    """

    query: int
    labels: tuple[str, ...]
    first: tuple[str, Exhibit] | None
    second: tuple[str, Exhibit] | None


def pictured(results: Results, comparison: Comparison) -> dict[int, Pictured]:
    """By place, the queries that there are pictures of.

    Args:
        results: their gallery is asked.
        comparison: whose cells are asked for.
    """
    sides: list[dict[int, tuple[str, Exhibit]]] = []
    for side in (0, 1):
        kept: dict[int, tuple[str, Exhibit]] = {}
        for attack, cells in comparison.cells.items():
            gallery = results.gallery(cells[side])
            for one in gallery.exhibits if gallery is not None else ():
                known = kept.get(one.query)
                if known is None or one.precision[1] < known[1].precision[1]:
                    kept[one.query] = (attack, one)
        sides.append(kept)
    found = {}
    for query in sorted({*sides[0], *sides[1]}):
        first, second = sides[0].get(query), sides[1].get(query)
        shown = first or second
        if shown is not None:
            found[query] = Pictured(query, shown[1].labels, first, second)
    return found
