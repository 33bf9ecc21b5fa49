"""A leaderboard as sheets of text fields, which every text format lays out in its own way. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from hashbench.reports.board.certified import NOTHING_PROVEN, Certified
from hashbench.reports.board.findings import printed
from hashbench.reports.board.leaderboard import Leaderboard
from hashbench.reports.board.over_seeds import Entry
from hashbench.reports.board.row import Row, Score, not_asked
from hashbench.reports.text.sentences import (
    BELOW_CHANCE,
    FLAGGED,
    WORTHLESS,
    marked,
    metric,
    one_line,
)

NOT_RANKED = "-"
"""Stands in the place of a rank."""


INTERVAL = "95 % interval"
"""Heads a column of intervals."""


CERTIFIED = "certified"
"""Heads the column of what is proven."""

BY_PROOF = "# proof"
"""Heads the column of ranks by it."""

NOT_KNOWN = "-"
"""Stands where nobody measured, or asked for it."""


class Tone(StrEnum):
    """What a format may show by colour; the text alone says it too."""

    PLAIN = "plain"
    NAME = "name"
    BEST = "best"
    AT_CHANCE = "at chance"
    PROBLEM = "problem"


@dataclass(frozen=True)
class Field:
    """One field of a sheet.

    Attributes:
        parts: pieces of text that may stand side by side or under each other; no markup.
        tone: for colour.
    """

    parts: tuple[str, ...]
    tone: Tone = Tone.PLAIN


@dataclass(frozen=True)
class Sheet:
    """A table of text.

    Attributes:
        title: what it shows; no text of foreign origin.
        header: one text per column.
        rows: as many fields as the header has.
        names: how many columns, from the left, name the row; the others hold numbers and words of
            this project's own.
        whole_heads: whether the header holds this project's own words alone, none of them long, so
            that none has to be broken.
        narrow: the same told in fewer columns, for where a row of this one does not fit.
        name: what a heading above it says; no text of foreign origin.
    """

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[Field, ...], ...]
    names: int
    name: str
    whole_heads: bool = False
    narrow: Sheet | None = None


def sheets(board: Leaderboard) -> tuple[Sheet, ...]:
    """The sheets of a leaderboard, the ranking first; those without a row are left out.

    The ranking, what is proven, the interval of every mAP, what targeted attacks reached, the ties
    beside every mAP, the codes, the cost.
    """
    found = (
        ranking(board),
        certificates(board),
        intervals(board),
        targeted(board),
        ties(board),
        codes(board),
        cost(board),
    )
    return tuple(sheet for sheet in found if sheet.rows)


def ranking(board: Leaderboard) -> Sheet:
    """Rank, defense, mAP without and with attacks, worst case and its interval, chance, floor."""
    bounded = any(row.worst_case.interval is not None for row in board.rows)
    proofs = board.has_certificates
    rows = []
    for row in board.rows:
        worst = [_mean(row.worst_case, board, best=row.rank == 1)] if board.attacks else []
        worst += [Field((_interval(row.worst_case) or NOT_KNOWN,))] if bounded else []
        rows.append(
            (
                _rank(row),
                Field((one_line(row.defense),), Tone.NAME),
                _mean(row.clean.expected, board),
                *(_mean(score.expected, board) for score in row.attacked),
                *worst,
                *((_certified(row), _proof_rank(row)) if proofs else ()),
                _chance(row, board),
                _bound(row.floor),
            )
        )
    header = (
        "#",
        "defense",
        "clean",
        *(one_line(attack) for attack in board.attacks),
        *(("worst case",) if board.attacks else ()),
        *((INTERVAL,) if bounded else ()),
        *((CERTIFIED, BY_PROOF) if proofs else ()),
        "chance",
        "floor",
    )
    return Sheet(f"{metric(board)}, in percent", header, tuple(rows), names=2, name="Ranking")


def certificates(board: Leaderboard) -> Sheet:
    """Between which values each model's true robust mAP lies; no row where nobody asked."""
    proofs = [(row, row.certified) for row in board.rows if row.certified is not None]
    columns: list[tuple[str, Callable[[Certified], Entry]]] = [
        ("bits", lambda found: found.bits),
        ("queries", lambda found: found.codes),
        ("exact", lambda found: found.exact),
    ]
    if any(found.recall.values for _, found in proofs):
        columns.append(("recall@1", lambda found: found.recall))
    rows = [
        (
            Field((one_line(row.defense),), Tone.NAME),
            _certified(row),
            _mean(row.worst_case, board) if board.attacks else Field((NOT_KNOWN,)),
            _mean(row.clean.expected, board),
            *(_taken(read(found), _percent) for _, read in columns),
            _taken(found.seconds, _seconds),
        )
        for row, found in proofs
    ]
    what = (
        f"Certificates: {metric(board)}, in percent: what is proven <= what is true <= what the "
        "worst case leaves <= clean. In percent too: bits that are proven; queries all of whose "
        "bits are; exact: queries whose proven AP some code has. Seconds of the proof, per query"
    )
    header = (
        *("defense", "proven", "worst case", "clean"),
        *(name for name, _ in columns),
        "seconds",
    )
    return Sheet(what, header, tuple(rows), names=1, name="Certificates", whole_heads=True)


def intervals(board: Leaderboard) -> Sheet:
    """Every mAP with its interval; no row where there is none."""
    columns = ("clean", *board.attacks, *(("worst case",) if board.attacks else ()))
    lines = [
        (row, (row.clean.expected, *(s.expected for s in row.attacked), row.worst_case))
        for row in (board.rows if board.has_intervals else ())
    ]
    rows = [
        (
            Field((one_line(row.defense),), Tone.NAME),
            *(_bounded(entry) for _, entry in zip(columns, entries, strict=False)),
        )
        for row, entries in lines
    ]
    narrow = [
        (
            Field((one_line(row.defense),), Tone.NAME),
            Field((one_line(name),)),
            _field(entry, _percent, spread=False),
            Field((_interval(entry) or NOT_KNOWN,)),
        )
        for row, entries in lines
        for name, entry in zip(columns, entries, strict=False)
        if not not_asked(entry)
    ]
    what = f"Intervals: {metric(board)} [{INTERVAL} over queries], in percent"
    return Sheet(
        what,
        ("defense", *map(one_line, columns)),
        tuple(rows),
        names=1,
        name="Intervals",
        narrow=Sheet(
            what, ("defense", "attack", "mAP", INTERVAL), tuple(narrow), names=2, name="Intervals"
        ),
    )


def targeted(board: Leaderboard) -> Sheet:
    """What the targeted attacks reached; one line per model and attack that was asked for."""
    rows = [
        (
            Field((one_line(row.defense),), Tone.NAME),
            Field((one_line(attack),)),
            _taken(found.before, _percent),
            _field(found.reached.expected, _percent),
            Field(_orders(found.reached) or (NOT_KNOWN,)),
            _field(found.own, _percent),
            _field(found.without_target, "{:,.0f}".format, spread=False),
        )
        for row in board.rows
        for attack, found in zip(board.targeted, row.targeted, strict=True)
        if not not_asked(found.own)
    ]
    header = ("defense", "attack", "clean", "t-mAP", "ties", "mAP", "no target")
    what = (
        f"Targeted attacks: t-{metric(board)}, by the target's labels, in percent: the more, the "
        "nearer to the target; clean: that of the queries left alone; ties: in their worst and "
        "best order. mAP: by the query's own labels. No target: queries that have none"
    )
    return Sheet(what, header, tuple(rows), names=2, name="Targeted attacks")


def cost(board: Leaderboard) -> Sheet:
    """What every attack takes, beside what it leaves; a line per model and attack asked for."""
    rows = []
    for row in board.rows:
        left = [*(s.expected for s in row.attacked), *(t.own for t in row.targeted)]
        names = (*board.attacks, *board.targeted)
        for attack, value, found in zip(names, left, row.costs, strict=True):
            if not_asked(value):
                continue
            rows.append(
                (
                    Field((one_line(row.defense),), Tone.NAME),
                    Field((one_line(attack),)),
                    _field(value, _percent, spread=False),
                    _taken(found.forwards, _passes),
                    _taken(found.backwards, _passes),
                    _taken(found.seconds, _seconds),
                )
            )
    header = ("defense", "attack", "mAP", "forward", "backward", "seconds")
    what = (
        "Cost: passes forward and backward per query, and seconds per query; seconds are this "
        "machine's, under whatever load it had. What an attack learnt beforehand is not in it"
    )
    return Sheet(what, header, tuple(rows), names=2, name="Cost")


def ties(board: Leaderboard) -> Sheet:
    """Every mAP with what the worst and the best order inside ties would make of it."""
    rows = [
        (
            Field((one_line(row.defense),), Tone.NAME),
            *(_range(score) for score in (row.clean, *row.attacked)),
        )
        for row in board.rows
    ]
    header = ("defense", "clean", *(one_line(attack) for attack in board.attacks))
    what = f"Ties: {metric(board)}, expected [worst, best order of ties], in percent"
    return Sheet(what, header, tuple(rows), names=1, narrow=_ties_by_line(board), name="Ties")


def _ties_by_line(board: Leaderboard) -> Sheet:
    """The ties with one line per model and attack."""
    rows = []
    for row in board.rows:
        for name, score in zip(("clean", *board.attacks), (row.clean, *row.attacked), strict=True):
            if not not_asked(score.expected):
                rows.append(
                    (
                        Field((one_line(row.defense),), Tone.NAME),
                        Field((one_line(name),)),
                        _field(score.expected, _percent, spread=False),
                        Field(_orders(score) or (NOT_KNOWN,)),
                    )
                )
    what = f"Ties: {metric(board)}, expected [worst, best order of ties], in percent"
    return Sheet(what, ("defense", "attack", "mAP", "ties"), tuple(rows), names=2, name="Ties")


def codes(board: Leaderboard) -> Sheet:
    """How every model uses its bits; several seeds by their mean."""
    columns: Sequence[tuple[str, Callable[[Row], Entry], Callable[[float], str]]] = (
        ("distinct codes", lambda row: row.quality.distinct_codes, "{:,.0f}".format),
        ("bit balance", lambda row: row.quality.bit_balance, "{:.2f}".format),
        ("bit entropy", lambda row: row.quality.bit_entropy, "{:.2f}".format),
        ("saturated", lambda row: row.quality.saturated, _percent),
        ("zero gradient", lambda row: row.quality.zero_gradients, _percent),
        ("tied", lambda row: row.quality.tied, _percent),
    )
    rows = [
        (
            Field((one_line(row.defense),), Tone.NAME),
            *(_field(read(row), write, spread=False) for _, read, write in columns),
        )
        for row in board.rows
    ]
    header = ("defense", *(name for name, _, _ in columns))
    what = (
        "Codes: distinct ones in the database; bit balance and bit entropy: how evenly its codes "
        "use the bits, 1 is best. In percent: saturated: outputs that no gradient can leave; zero "
        "gradient: queries without any; tied: items of a list with another at the same distance"
    )
    return Sheet(what, header, tuple(rows), names=1, name="Codes")


def _certified(row: Row) -> Field:
    """What is proven, or why nothing is, in a word or two."""
    found = row.certified
    if found is None:
        return Field((NOT_KNOWN,))
    if found.proven.mean is None:
        words = found.words
        return Field((words,), Tone.PLAIN if words == NOTHING_PROVEN else Tone.PROBLEM)
    parts = [_percent(found.proven.mean) + (WORTHLESS if found.worthless else "")]
    if found.proven.std is not None:
        parts.append(f"±{_percent(found.proven.std)}")
    if not found.proven.complete:
        parts += [f"{len(found.proven.gaps)} of {found.proven.seeds}", found.words]
    return Field(tuple(parts), Tone.AT_CHANCE if found.worthless else Tone.PLAIN)


def _proof_rank(row: Row) -> Field:
    rank = None if row.certified is None else row.certified.rank
    return Field((NOT_RANKED if rank is None else str(rank),))


def _rank(row: Row) -> Field:
    if row.codes:
        return Field((FLAGGED,), Tone.PROBLEM)
    return Field((row.ranks or NOT_RANKED,))


def _mean(entry: Entry, board: Leaderboard, *, best: bool = False) -> Field:
    below = marked(entry, board)
    field = _field(entry, _percent, mark=BELOW_CHANCE if below else "")
    if field.tone is not Tone.PLAIN:
        return field
    if below:
        return Field(field.parts, Tone.AT_CHANCE)
    return Field(field.parts, Tone.BEST if best else Tone.PLAIN)


def _bound(entry: Entry) -> Field:
    """Chance or floor: what is the same for all seeds needs no spread."""
    return _field(entry, _percent, spread=entry.std is not None and printed(entry.std) > 0)


def _chance(row: Row, board: Leaderboard) -> Field:
    """Chance is the protocol's: a model that failed has it as well."""
    if row.chance.mean is None and board.chance is not None:
        return Field((_percent(board.chance),))
    return _bound(row.chance)


def _range(score: Score) -> Field:
    field = _field(score.expected, _percent, spread=False)
    mean, *rest = field.parts
    return Field((mean, *_orders(score), *rest), field.tone)


def _bounded(entry: Entry) -> Field:
    field = _field(entry, _percent, spread=False)
    mean, *rest = field.parts
    interval = _interval(entry)
    return Field((mean, *((interval,) if interval else ()), *rest), field.tone)


def _interval(entry: Entry) -> str:
    """`[47.9, 51.6]`; empty where none is known."""
    found = entry.interval
    return "" if found is None else f"[{_percent(found.low)}, {_percent(found.high)}]"


def _orders(score: Score) -> tuple[str, ...]:
    """The value in the worst and in the best order of ties; nothing where there is none."""
    worst, best = score.worst.mean, score.best.mean
    if score.expected.mean is None or worst is None or best is None:
        return ()
    return (f"[{_percent(worst)}, {_percent(best)}]",)


def _field(
    entry: Entry, write: Callable[[float], str], *, mark: str = "", spread: bool = True
) -> Field:
    """A mean with its spread, and how many seeds it lacks; or why there is none at all."""
    mean, std = entry.mean, entry.std
    if not_asked(entry):
        return Field((NOT_KNOWN,))
    if mean is None:
        return Field((entry.status.words,), Tone.PROBLEM)
    parts = [write(mean) + mark]
    if std is not None and spread:
        parts.append(f"±{write(std)}")
    if not entry.complete:
        parts += [f"{len(entry.gaps)} of {entry.seeds}", entry.status.words]
    return Field(tuple(parts), Tone.PLAIN if entry.complete else Tone.PROBLEM)


def _percent(value: float) -> str:
    return f"{printed(value):.1f}"


def _taken(entry: Entry, write: Callable[[float], str]) -> Field:
    """Over the seeds that are known: why another has none stands beside its mAP."""
    return Field((NOT_KNOWN if entry.mean is None else write(entry.mean),))


def _passes(count: float) -> str:
    """Whole where it is; a mean over queries that were left early is not."""
    return f"{count:,.0f}" if count == round(count) else f"{count:,.1f}"


def _seconds(value: float) -> str:
    """Two significant digits, and never an exponent."""
    if value == 0:
        return "0"
    digits = max(0, 1 - math.floor(math.log10(abs(value))))
    return f"{value:,.{digits}f}"
