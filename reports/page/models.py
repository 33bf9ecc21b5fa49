"""Reads the models of a page out of a leaderboard and the results that it is of. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from hashbench.characters import counted
from hashbench.eps import Norm
from hashbench.reports.board.certified import Certified
from hashbench.reports.board.leaderboard import NO_RADIUS, Leaderboard
from hashbench.reports.board.over_seeds import Entry
from hashbench.reports.board.row import Row, Score, not_asked
from hashbench.reports.page.model import AttackLine, Exhibition, Model, Place, TargetLine
from hashbench.reports.page.numbers import (
    NOTHING,
    Number,
    anchor,
    mean_order,
    number,
    percent,
    proven,
)
from hashbench.reports.page.pictures import Shown
from hashbench.reports.page.plots import Series, curves, model_anchor
from hashbench.reports.page.sources import Sources
from hashbench.reports.text import reproduce
from hashbench.reports.text.entries import passes
from hashbench.reports.text.sentences import HASH, one_line, radius, shortened
from hashbench.results.cell import CERTIFICATE, CLEAN, Cell, CellResult, Status
from hashbench.results.results import Results

MOST_PLACES: Final = 24
"""Lines that say where the numbers of one model come from; of more seeds the first ones."""

DENSE: Final = 400
"""Models from which on a section does not repeat what stands in its table's conditions."""

FEW_PLACES: Final = 6
"""`MOST_PLACES` of such a page."""

MOST_SECTIONS: Final = 2000
"""Models that have a section: a page has to stay small enough to be opened and sent."""


@dataclass(frozen=True)
class Reader:
    """What the sections of all models are read from.

    Attributes:
        cells: by model, its results of all radii.
        results: that they are of.
        attacks: the look of every attack.
        sources: collects references.
        pictures: what of the galleries is shown.
        dense: whether there are many models.
    """

    cells: Mapping[Cell, Sequence[CellResult]]
    results: Results
    attacks: Series
    sources: Sources
    pictures: Mapping[Cell, tuple[Shown, ...]]
    dense: bool = False

    def model(self, board: Leaderboard, row: Row, *, has_section: bool = True) -> Model:
        """A row of a table with its section."""
        id_ = model_anchor(board.group, row.defense)
        cells = self._cells(board, row)
        rank, rank_words = _rank(row)
        places, more = _places(cells, FEW_PLACES if self.dense else MOST_PLACES)
        asked = [r.cell.attack for r in cells if r.cell.attack != CLEAN]
        attacks = [a for a in (*board.attacks, *board.targeted) if a in set(asked)]
        return Model(
            id=id_,
            defense=one_line(row.defense),
            rank=rank,
            rank_words=rank_words,
            place="" if row.rank is None else str(row.rank),
            clean=number(row.clean.expected, board),
            worst=number(row.worst_case, board) if board.attacks else Number(NOTHING),
            chance=_chance(row, board),
            codes=tuple(str(code) for code in row.codes),
            reasons=tuple(_reasons(row)),
            lines=tuple(_lines(board, row, id_)),
            targets=tuple(_targets(board, row, id_)),
            facts=tuple(_facts(board, row, own=self.dense)),
            places=places,
            more_places=more,
            commands=self._commands(cells),
            sources=self.sources.of(board.group, row.defense, attacks),
            curves=curves(board, row, self.attacks),
            seeds=len(row.seeds),
            exhibitions=tuple(self._exhibitions(cells, id_)),
            proven=proven(row.certified),
            proof_rank=str((row.certified and row.certified.rank) or ""),
            mean_order=mean_order(row.certified),
            has_section=has_section,
        )

    def _commands(self, cells: Sequence[CellResult]) -> str:
        """Lines of a shell that ask for these cells."""
        whole = self.results
        lines = reproduce.commands(Results(tuple(cells), whole.protocols, whole.trainings))
        return "\n".join(lines)

    def _cells(self, board: Leaderboard, row: Row) -> list[CellResult]:
        group = board.group
        key = Cell(
            dataset=group.dataset,
            loss=group.loss,
            backbone=group.backbone,
            bits=group.bits,
            defense=row.defense,
            attack=CLEAN,
            eps=NO_RADIUS,
            seed=0,
            protocol=group.protocol,
            training=group.training,
        )
        return [
            result
            for result in self.cells.get(key, ())
            if result.cell.seed in row.seeds
            and (
                result.cell.is_clean
                or result.cell.eps == group.eps
                or (result.cell.is_certificate and result.cell.radius == group.radius)
            )
        ]

    def _exhibitions(self, cells: Sequence[CellResult], id_: str) -> list[Exhibition]:
        return [
            Exhibition(
                anchor("g", id_, result.cell.attack, result.cell.seed),
                one_line(result.cell.attack),
                result.cell.seed,
                self.pictures[result.cell],
            )
            for result in cells
            if result.cell in self.pictures
        ]


def by_model(cells: Sequence[CellResult]) -> dict[Cell, list[CellResult]]:
    """Results by model, of all seeds and radii: keyed by the clean cell of seed 0."""
    found: dict[Cell, list[CellResult]] = {}
    for result in cells:
        found.setdefault(replace(result.cell.clean, seed=0), []).append(result)
    return found


def _rank(row: Row) -> tuple[str, str]:
    if row.codes:
        return "!", "flagged, not ranked"
    if row.rank is None:
        return NOTHING, "not ranked"
    first = row.rank if row.first_rank is None else row.first_rank
    last = row.rank if row.last_rank is None else row.last_rank
    if first == last:
        return str(row.rank), f"rank {row.rank}"
    return (
        f"{first}\N{EN DASH}{last}",
        f"rank {row.rank}; ranks {first} to {last} cannot be told apart",
    )


def _chance(row: Row, board: Leaderboard) -> str:
    mean = row.chance.mean
    mean = board.chance if mean is None else mean
    return NOTHING if mean is None else percent(mean)


def _reasons(row: Row) -> list[tuple[str, str, str]]:
    found = [
        (str(one.code or ""), f"{shortened(one.words).rstrip('.')}.", one.code.page)
        if one.code is not None
        else ("", f"Not ranked: {shortened(one.words).rstrip('.')}.", "")
        for one in row.findings
    ]
    found += [
        ("", f"Not counted, and without a result: {shortened(one.words).rstrip('.')}.", "")
        for one in row.asides
    ]
    return found


def _lines(board: Leaderboard, row: Row, id_: str) -> list[AttackLine]:
    clean = row.clean
    found = [AttackLine(_cell_id(id_, CLEAN), "clean", number(clean.expected, board), _ties(clean))]
    for name, score, cost in zip(board.attacks, row.attacked, row.costs, strict=False):
        if not_asked(score.expected):
            continue
        found.append(
            AttackLine(
                _cell_id(id_, name),
                one_line(name),
                number(score.expected, board),
                _ties(score),
                _count(cost.forwards),
                _count(cost.backwards),
                _seconds(cost.seconds),
                counts=name in board.shared,
            )
        )
    return found


def _targets(board: Leaderboard, row: Row, id_: str) -> list[TargetLine]:
    return [
        TargetLine(
            _cell_id(id_, name),
            one_line(name),
            number(found.before),
            number(found.reached.expected),
            number(found.own, board),
            _count(found.without_target),
        )
        for name, found in zip(board.targeted, row.targeted, strict=True)
        if not not_asked(found.own)
    ]


def _cell_id(id_: str, attack: str) -> str:
    return id_ + anchor("", attack)[:7]


def _ties(score: Score) -> str:
    worst, best = score.worst.mean, score.best.mean
    return "" if worst is None or best is None else f"{percent(worst)} to {percent(best)}"


def _count(entry: Entry) -> str:
    return "" if entry.mean is None else passes(entry.mean)


def _seconds(entry: Entry) -> str:
    return "" if entry.mean is None else f"{entry.mean:.2g}"


def _facts(board: Leaderboard, row: Row, *, own: bool) -> list[tuple[str, str]]:
    """The card, or what of it is the model's own and not its table's."""
    group, quality = board.group, row.quality
    of_table = [
        ("data set", one_line(group.dataset)),
        ("loss", one_line(group.loss)),
        ("backbone", one_line(group.backbone)),
        ("code length", counted(group.bits, "bit")),
        ("threat", threat(board)),
    ]
    found = [
        ("seeds", ", ".join(map(str, row.seeds))),
        ("chance", _chance(row, board)),
        ("floor", number(row.floor).text),
    ]
    shares = (
        ("distinct codes", quality.distinct_codes, "{:,.0f}", 1),
        ("bit balance", quality.bit_balance, "{:.2f}", 1),
        ("bit entropy", quality.bit_entropy, "{:.2f}", 1),
        ("saturated outputs", quality.saturated, "{:.1f} %", 100),
        ("queries without gradient", quality.zero_gradients, "{:.1f} %", 100),
        ("tied items", quality.tied, "{:.1f} %", 100),
    )
    found += [
        (name, form.format(times * entry.mean))
        for name, entry, form, times in shares
        if entry.mean is not None
    ]
    found += _proofs(row.certified)
    if own:
        return found
    hashes = [("protocol", group.protocol[:HASH]), ("training", group.training[:HASH])]
    return [*of_table, *found, *hashes]


def _proofs(found: Certified | None) -> list[tuple[str, str]]:
    """What is told of a certificate besides what it proves."""
    if found is None:
        return []
    if not found.proven.values:
        return [("certificate", shortened(found.reason or found.words))]
    shares = (
        ("mAP proven in the mean order of ties", found.mean_order),
        ("bits proven", found.bits),
        ("queries with every bit proven", found.codes),
        ("proven AP reached by some code", found.exact),
        ("recall@1 proven", found.recall),
    )
    known = [(name, f"{100 * one.mean:.1f} %") for name, one in shares if one.mean is not None]
    if found.proven.gaps:
        known.append(("certificate of other seeds", shortened(found.reason or found.words)))
    return known


def threat(board: Leaderboard) -> str:
    """What an attack may do, in a few words: `L∞ 24/255`, `L2 0.5`."""
    if not board.attacked:
        return "none"
    written = one_line(board.group.eps)
    if board.group.radius.norm is Norm.L2:
        return f"L2 {written.rpartition(':')[2]}"
    steps = one_line(radius(board.group.eps))
    return f"L∞ {written}" if written == steps else f"L∞ {written} ({steps})"


def _called(cell: Cell) -> str:
    if cell.is_certificate:
        return CERTIFICATE
    return "clean" if cell.is_clean else cell.attack


def _places(cells: Sequence[CellResult], most: int) -> tuple[tuple[Place, ...], int]:
    found = [
        Place(
            one_line(f"{_called(r.cell)}, seed {r.cell.seed}"),
            one_line(r.provenance.folder),
            one_line(r.provenance.key[:HASH]),
            one_line(r.provenance.made),
        )
        for r in cells
        if r.provenance is not None and r.status is Status.DONE
    ]
    return tuple(found[:most]), max(0, len(found) - most)
