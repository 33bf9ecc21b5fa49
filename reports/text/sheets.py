"""A leaderboard as sheets: which tables it is told in, and what their columns hold. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hashbench.reports.board.certified import Certified
from hashbench.reports.board.leaderboard import Leaderboard
from hashbench.reports.board.over_seeds import Entry
from hashbench.reports.board.row import Row, not_asked
from hashbench.reports.text.entries import (
    NOT_KNOWN,
    bound_field,
    certified_field,
    chance_field,
    entry_field,
    interval,
    interval_field,
    known_field,
    mean_field,
    mean_order_field,
    passes,
    percent,
    proof_rank_field,
    rank_field,
    seconds,
    tie_range,
    tie_range_field,
)
from hashbench.reports.text.sentences import metric, one_line
from hashbench.reports.text.sheet import Field, Sheet, Tone

INTERVAL = "95 % interval"
"""Heads a column of intervals."""

CERTIFIED = "certified"
"""Heads the column of what is proven."""

MEAN_ORDER = "mean order"
"""Heads the column of what is proven of the mean over the orders of ties."""

BY_PROOF = "# proof"
"""Heads the column of ranks by it."""


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
    proofs, orders = board.has_certificates, _has_mean_order(board)
    rows = []
    for row in board.rows:
        worst = [mean_field(row.worst_case, board, best=row.rank == 1)] if board.attacks else []
        worst += [Field((interval(row.worst_case) or NOT_KNOWN,))] if bounded else []
        rows.append(
            (
                rank_field(row),
                Field((one_line(row.defense),), Tone.NAME),
                mean_field(row.clean.expected, board),
                *(mean_field(score.expected, board) for score in row.attacked),
                *worst,
                *((certified_field(row),) if proofs else ()),
                *((mean_order_field(row),) if orders else ()),
                *((proof_rank_field(row),) if proofs else ()),
                chance_field(row, board),
                bound_field(row.floor),
            )
        )
    header = (
        "#",
        "defense",
        "clean",
        *(one_line(attack) for attack in board.attacks),
        *(("worst case",) if board.attacks else ()),
        *((INTERVAL,) if bounded else ()),
        *((CERTIFIED,) if proofs else ()),
        *((MEAN_ORDER,) if orders else ()),
        *((BY_PROOF,) if proofs else ()),
        "chance",
        "floor",
    )
    return Sheet(f"{metric(board)}, in percent", header, tuple(rows), names=2, name="Ranking")


def certificates(board: Leaderboard) -> Sheet:
    """Between which values each model's true robust mAP lies; no row where nobody asked."""
    proofs = [(row, row.certified) for row in board.rows if row.certified is not None]
    orders = _has_mean_order(board)
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
            certified_field(row),
            *((mean_order_field(row),) if orders else ()),
            mean_field(row.worst_case, board) if board.attacks else Field((NOT_KNOWN,)),
            mean_field(row.clean.expected, board),
            *(known_field(read(found), percent) for _, read in columns),
            known_field(found.seconds, seconds),
        )
        for row, found in proofs
    ]
    what = (
        f"Certificates: {metric(board)}, in percent: what is proven <= what is true <= what the "
        "worst case leaves <= clean. Proven: ties in their worst order; mean order: the mean over "
        "their orders, as every other mAP is. In percent too: bits that are proven; queries all of "
        "whose bits are; exact: queries whose proven AP some code has. Seconds of the proof, per "
        "query"
    )
    header = (
        *("defense", "proven", *((MEAN_ORDER,) if orders else ()), "worst case", "clean"),
        *(name for name, _ in columns),
        "seconds",
    )
    return Sheet(what, header, tuple(rows), names=1, name="Certificates", whole_heads=True)


def _has_mean_order(board: Leaderboard) -> bool:
    return any(row.certified is not None and row.certified.mean_order.values for row in board.rows)


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
            *(interval_field(entry) for _, entry in zip(columns, entries, strict=False)),
        )
        for row, entries in lines
    ]
    narrow = [
        (
            Field((one_line(row.defense),), Tone.NAME),
            Field((one_line(name),)),
            entry_field(entry, percent, spread=False),
            Field((interval(entry) or NOT_KNOWN,)),
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
            known_field(found.before, percent),
            entry_field(found.reached.expected, percent),
            Field(tie_range(found.reached) or (NOT_KNOWN,)),
            entry_field(found.own, percent),
            entry_field(found.without_target, "{:,.0f}".format, spread=False),
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
                    entry_field(value, percent, spread=False),
                    known_field(found.forwards, passes),
                    known_field(found.backwards, passes),
                    known_field(found.seconds, seconds),
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
            *(tie_range_field(score) for score in (row.clean, *row.attacked)),
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
                        entry_field(score.expected, percent, spread=False),
                        Field(tie_range(score) or (NOT_KNOWN,)),
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
        ("saturated", lambda row: row.quality.saturated, percent),
        ("zero gradient", lambda row: row.quality.zero_gradients, percent),
        ("tied", lambda row: row.quality.tied, percent),
    )
    rows = [
        (
            Field((one_line(row.defense),), Tone.NAME),
            *(entry_field(read(row), write, spread=False) for _, read, write in columns),
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
