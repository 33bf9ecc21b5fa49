"""From results to leaderboards: one per group of comparable cells. Pure; draws nothing."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hashbench.data.protocol import Protocol
from hashbench.eps import Eps
from hashbench.reports.board.counting import Counts, is_control, what_counts
from hashbench.reports.board.findings import Finding, at_or_below, printed
from hashbench.reports.board.row import Row, RowReader
from hashbench.results.cell import CLEAN, Cell, CellResult
from hashbench.results.flags import least_useful
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
    """

    group: Group
    protocol: Protocol
    training: Mapping[str, Any]
    attacks: tuple[str, ...]
    targeted: tuple[str, ...]
    shared: tuple[str, ...]
    rows: tuple[Row, ...]
    chance: float | None

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


def leaderboards(results: Results) -> tuple[Leaderboard, ...]:
    """One leaderboard per protocol, training, loss, backbone, bits and eps, in a stable order.

    A clean cell counts for every eps of its group. Where nothing was attacked at all there is one
    leaderboard with eps `0` and no attack.
    """
    families: dict[Group, dict[str, list[CellResult]]] = {}
    for result in sorted(results.cells, key=lambda result: result.cell):
        radius = CLEAN if result.cell.attack == CLEAN else result.cell.eps
        family = families.setdefault(_group(result.cell), {})
        family.setdefault(radius, []).append(result)
    boards = []
    for group, at in families.items():
        clean = at.pop(CLEAN, [])
        # A defense that was attacked at other radii only has no place in a table; one that was
        # never attacked would otherwise show up nowhere.
        anywhere = {r.cell.defense for attacked in at.values() for r in attacked}
        unattacked = {r.cell.defense for r in clean} - anywhere
        for eps, attacked in (at or {NO_RADIUS: []}).items():
            members = (clean, attacked)
            boards.append(_leaderboard(replace(group, eps=eps), *members, unattacked, results))
    return tuple(sorted(boards, key=lambda board: _order(board.group)))


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
    return (*names, group.radius.fraction, group.eps, group.protocol, group.training)


def _leaderboard(
    group: Group,
    clean: Sequence[CellResult],
    attacked: Sequence[CellResult],
    unattacked: Collection[str],
    results: Results,
) -> Leaderboard:
    """One table.

    Args:
        group: what its numbers share.
        clean: the clean cells of the group, of all radii.
        attacked: the attacked cells at its radius.
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
    shown = {r.cell.defense for r in attacked} | set(unattacked)
    protocol = results.protocols[group.protocol]
    by_defense: dict[str, list[CellResult]] = {}
    for result in (*clean, *attacked):
        by_defense.setdefault(result.cell.defense, []).append(result)
    readers = [
        RowReader(
            defense=defense,
            attacks=attacks,
            targeted=targeted,
            cells=by_defense[defense],
            results=results,
            metric=protocol.metric,
        )
        for defense in sorted(shown)
    ]
    counts = what_counts(readers, attacks)
    rows = [_with_reason(reader.read(counts.shared), counts) for reader in readers]
    # Chance belongs to the protocol: one model's clean cell speaks for a row that has none.
    chance = next((mean for row in rows if (mean := row.chance.mean) is not None), None)
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
    return replace(board, rows=_ranked(rows)) if board.can_rank else board


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
