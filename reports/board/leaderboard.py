"""From results to leaderboards: one per group of comparable cells. Pure; draws nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hashbench.data.protocol import Protocol
from hashbench.eps import Eps
from hashbench.reports.board.certified import Certified, certified_of, ranks_by_proof
from hashbench.reports.board.counting import Counts, is_control, what_counts
from hashbench.reports.board.findings import Finding, at_or_below, printed
from hashbench.reports.board.row import Row
from hashbench.reports.board.row_reader import RowReader
from hashbench.reports.board.uncertainty import Samples, samples_of, with_intervals
from hashbench.results.cell import CLEAN, Cell, CellResult
from hashbench.results.flags import Code, least_useful
from hashbench.results.provenance import Conflict
from hashbench.results.results import Results

NO_RADIUS = "0"
"""The eps of a leaderboard of clean cells alone."""


@dataclass(frozen=True)
class Group:
    """What numbers must share to stand in one table: the fields of `Cell` of the same names."""

    dataset: str
    loss: str
    backbone: str
    bits: int
    eps: str
    protocol: str
    training: str

    @property
    def radius(self) -> Eps:
        """`eps` as a number."""
        return Eps.parse(self.eps)


@dataclass(frozen=True)
class Namesake:
    """Another table of the same names, whose numbers do not belong beside these.

    Attributes:
        protocol: its card.
        training: the hash of its training.
    """

    protocol: Protocol
    training: str


@dataclass(frozen=True)
class Leaderboard:
    """One table.

    Attributes:
        group: what its numbers share.
        protocol: the protocol's card.
        training: how models were trained and what they were computed with; empty if not recorded.
        attacks: canonical names of the untargeted ones, the control first, then by name.
        targeted: those of the targeted attacks, by name.
        shared: the untargeted attacks that count: those that every ranked row has. A worst case is
            the minimum over these; the others stand in the table and rank nothing.
        rows: the ranked ones, best first, then the others by name.
        chance: mAP of a random order; `None` where no clean cell is done.
        namesakes: the other tables of the same data set, loss, backbone, bits and radius.
        conflicts: cells of this table of which several folders say different things.
    """

    group: Group
    protocol: Protocol
    training: Mapping[str, Any]
    attacks: tuple[str, ...]
    targeted: tuple[str, ...]
    shared: tuple[str, ...]
    rows: tuple[Row, ...]
    chance: float | None
    namesakes: tuple[Namesake, ...] = ()
    conflicts: tuple[Conflict, ...] = ()

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds of all rows."""
        return tuple(sorted({seed for row in self.rows for seed in row.seeds}))

    @property
    def attacked(self) -> bool:
        """Whether there is any attack at all."""
        return bool(self.attacks or self.targeted)

    @property
    def can_rank(self) -> bool:
        """Whether there is any untargeted attack besides the control."""
        return any(not is_control(attack) for attack in self.attacks)

    @property
    def has_certificates(self) -> bool:
        """Whether what is proven was asked for, of any row."""
        return any(row.certified is not None for row in self.rows)

    @property
    def has_intervals(self) -> bool:
        """Whether any number has an interval: hand-made ones and those of one query have none."""
        entries = (
            entry
            for row in self.rows
            for entry in (row.clean.expected, row.worst_case, *(s.expected for s in row.attacked))
        )
        return any(entry.interval is not None for entry in entries)

    @property
    def shows_nothing(self) -> bool:
        """Whether every value of every model is at chance, so that none of them is robustness."""
        rows = [row for row in self.rows if row.clean.expected.values]
        if self.chance is None or not rows:
            return False
        line = least_useful(self.chance)
        return all(
            value < line
            for row in rows
            for score in (row.clean, *row.attacked)
            for _, value in score.expected.values
        )

    @property
    def nobody_resists(self) -> bool:
        """Whether every worst case lies at or below chance."""
        worst = [mean for row in self.rows if (mean := row.worst_case.mean) is not None]
        return (
            self.can_rank
            and self.chance is not None
            and bool(worst)
            and all(at_or_below(mean, self.chance) for mean in worst)
        )


def leaderboards(results: Results, *, intervals: bool = True) -> tuple[Leaderboard, ...]:
    """One leaderboard per protocol, training, loss, backbone, bits and eps, in a stable order.

    A clean cell counts for every eps of its group. Where nothing was attacked at all there is one
    leaderboard with eps `0` and no attack. A certificate stands in the table of its radius, however
    that is written there; in one of its own where nothing was attacked at it.

    Args:
        results: of any cells.
        intervals: whether to find out how sure the numbers and the ranks are. It takes a second
            for a few thousand numbers of 500 queries.
    """
    families: dict[Group, dict[str, list[CellResult]]] = {}
    proofs: dict[Group, list[CellResult]] = {}
    for result in sorted(results.cells, key=lambda result: result.cell):
        if result.cell.is_certificate:
            proofs.setdefault(_group(result.cell), []).append(result)
        radius = CLEAN if result.cell.attack == CLEAN else result.cell.eps
        family = families.setdefault(_group(result.cell), {})
        if not result.cell.is_certificate:
            family.setdefault(radius, []).append(result)
    boards: list[tuple[Leaderboard, dict[str, Samples]]] = []
    for group, at in families.items():
        clean = at.pop(CLEAN, [])
        proven = _at_radii(proofs.get(group, ()), at)
        # A defense that was attacked at other radii only has no place in a table; one that was
        # never attacked would otherwise show up nowhere.
        anywhere = {r.cell.defense for there in (at, proven) for r in _all(there)}
        unattacked = {r.cell.defense for r in clean} - anywhere
        for eps, attacked in (at or {NO_RADIUS: []}).items():
            members = (clean, attacked, proven.get(eps, ()))
            boards.append(_leaderboard(replace(group, eps=eps), *members, unattacked, results))
    boards.sort(key=lambda pair: _order(pair[0].group))
    ordered = [board for board, _ in boards]
    if intervals:
        rows = with_intervals([(board.rows, samples) for board, samples in boards])
        ordered = [replace(one, rows=own) for one, own in zip(ordered, rows, strict=True)]
    return tuple(_with_conflicts(_with_namesakes(ordered), results.conflicts))


def _all(at: Mapping[str, Sequence[CellResult]]) -> Iterator[CellResult]:
    return (result for several in at.values() for result in several)


def _at_radii(
    proofs: Sequence[CellResult], at: dict[str, list[CellResult]]
) -> dict[str, list[CellResult]]:
    """Certificates by the radius of their table; a radius that has none gets an empty one."""
    found: dict[str, list[CellResult]] = {}
    for proof in proofs:
        radius = proof.cell.radius
        there = [eps for eps in at if Eps.parse(eps) == radius]
        # One radius in two spellings is two tables, and what is proven holds in both.
        for eps in there or [proof.cell.eps]:
            at.setdefault(eps, [])
            found.setdefault(eps, []).append(proof)
    return found


def _with_namesakes(boards: Sequence[Leaderboard]) -> list[Leaderboard]:
    """Every table with those that differ from it in protocol or training alone."""
    by_names: dict[tuple[Any, ...], list[Leaderboard]] = {}
    for board in boards:
        by_names.setdefault(_names(board.group), []).append(board)
    return [
        replace(
            board,
            namesakes=tuple(
                Namesake(other.protocol, other.group.training)
                for other in by_names[_names(board.group)]
                if other is not board
            ),
        )
        for board in boards
    ]


def _names(group: Group) -> tuple[Any, ...]:
    return (group.dataset, group.loss, group.backbone, group.bits, group.radius)


def _with_conflicts(
    boards: Sequence[Leaderboard], conflicts: Sequence[Conflict]
) -> list[Leaderboard]:
    """Every table with the conflicts about its cells; clean ones are in those of every radius."""
    by_group: dict[Group, list[Conflict]] = {}
    for conflict in conflicts:
        by_group.setdefault(_group(conflict.cell), []).append(conflict)
    return [
        replace(
            board,
            conflicts=tuple(
                conflict
                for conflict in by_group.get(replace(board.group, eps=NO_RADIUS), ())
                if conflict.cell.is_clean or conflict.cell.radius == board.group.radius
            ),
        )
        for board in boards
    ]


def _group(cell: Cell) -> Group:
    return Group(
        dataset=cell.dataset,
        loss=cell.loss,
        backbone=cell.backbone,
        bits=cell.bits,
        eps=NO_RADIUS,
        protocol=cell.protocol,
        training=cell.training,
    )


def _order(group: Group) -> tuple[Any, ...]:
    names = (group.dataset, group.loss, group.backbone, group.bits)
    return (*names, group.radius, group.eps, group.protocol, group.training)


def _leaderboard(
    group: Group,
    clean: Sequence[CellResult],
    attacked: Sequence[CellResult],
    proofs: Sequence[CellResult],
    unattacked: Collection[str],
    results: Results,
) -> tuple[Leaderboard, dict[str, Samples]]:
    """One table, and what its means are of, by defense.

    Args:
        group: what its numbers share.
        clean: the clean cells of the group, of all radii.
        attacked: the attacked cells at its radius.
        proofs: the certificates of its radius.
        unattacked: the defenses that nobody attacked at any radius.
        results: where they come from.
    """
    led = {r.cell.attack for r in attacked if r.targeted}
    attacks = tuple(
        sorted(
            {r.cell.attack for r in attacked} - led, key=lambda name: (not is_control(name), name)
        )
    )
    targeted = tuple(sorted(led))
    shown = {r.cell.defense for r in (*attacked, *proofs)} | set(unattacked)
    protocol = results.protocols[group.protocol]
    by_defense: dict[str, list[CellResult]] = {}
    for result in (*clean, *attacked):
        by_defense.setdefault(result.cell.defense, []).append(result)
    readers = [
        RowReader(
            defense=defense,
            attacks=attacks,
            targeted=targeted,
            cells=by_defense.get(defense, []),
            results=results,
            metric=protocol.metric,
        )
        for defense in sorted(shown)
    ]
    counts = what_counts(readers, attacks)
    rows = [_with_reason(reader.read(counts.shared), counts) for reader in readers]
    # Chance belongs to the protocol: one model's clean cell speaks for a row that has none.
    chance = next((mean for row in rows if (mean := row.chance.mean) is not None), None)
    rows = _certified(rows, proofs, protocol.metric, chance)
    board = Leaderboard(
        group=group,
        protocol=protocol,
        training=results.trainings.get(group.training, {}),
        attacks=attacks,
        targeted=targeted,
        shared=counts.shared,
        rows=tuple(rows),
        chance=chance,
    )
    samples = {reader.defense: samples_of(reader, counts.shared) for reader in readers}
    return (replace(board, rows=_ranked(rows)) if board.can_rank else board), samples


def _certified(
    rows: Sequence[Row], proofs: Sequence[CellResult], metric: str, chance: float | None
) -> list[Row]:
    """The rows with what is proven of them, and their ranks by that."""
    by_defense: dict[str, list[CellResult]] = {}
    for proof in proofs:
        by_defense.setdefault(proof.cell.defense, []).append(proof)
    found: dict[str, Certified] = {}
    for row in rows:
        own = by_defense.get(row.defense, [])
        seeds = row.seeds or sorted({proof.cell.seed for proof in own})
        certified = certified_of(own, seeds, metric, chance)
        if certified is not None:
            found[row.defense] = certified
    sound = {
        row.defense: found[row.defense]
        for row in rows
        if row.defense in found and Code.ATTACK_BEATS_CERTIFICATE not in row.codes
    }
    found |= ranks_by_proof(sound)
    return [replace(row, certified=found.get(row.defense)) for row in rows]


def _ranked(rows: Sequence[Row]) -> tuple[Row, ...]:
    """Rank by the worst case as printed: what a reader sees alike shares a rank, as in 1, 1, 3."""

    def worst_case(row: Row) -> float:
        return printed(row.worst_case.mean or 0.0)

    def clean(row: Row) -> float:
        return printed(row.clean.expected.mean or 0.0)

    good = [row for row in rows if not row.findings and row.worst_case.complete]
    good.sort(key=lambda row: (-worst_case(row), -clean(row), row.defense))
    first: dict[float, int] = {}
    for place, row in enumerate(good, start=1):
        first.setdefault(worst_case(row), place)
    ranked = [replace(row, rank=first[worst_case(row)]) for row in good]
    names = {row.defense for row in good}
    return (*ranked, *(row for row in rows if row.defense not in names))


def _with_reason(row: Row, counts: Counts) -> Row:
    """A row that has no place in the ranking, with the reason."""
    if row.defense not in counts.left_out:
        return row
    finding = Finding(None, counts.left_out[row.defense])
    return replace(row, findings=(*row.findings, finding))
