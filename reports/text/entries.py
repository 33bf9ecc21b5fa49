"""The numbers of a leaderboard as fields of a sheet, with what stands where there is none. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable

from hashbench.reports.board.certified import NOTHING_PROVEN
from hashbench.reports.board.findings import printed
from hashbench.reports.board.leaderboard import Leaderboard
from hashbench.reports.board.over_seeds import Entry
from hashbench.reports.board.row import Row, Score, not_asked
from hashbench.reports.text.sentences import BELOW_CHANCE, FLAGGED, WORTHLESS, marked
from hashbench.reports.text.sheet import Field, Tone

NOT_RANKED = "-"
"""Stands in the place of a rank."""

NOT_KNOWN = "-"
"""Stands where nobody measured, or asked for it."""


def certified_field(row: Row) -> Field:
    """What is proven, or why nothing is, in a word or two."""
    found = row.certified
    if found is None:
        return Field((NOT_KNOWN,))
    if found.proven.mean is None:
        words = found.words
        return Field((words,), Tone.PLAIN if words == NOTHING_PROVEN else Tone.PROBLEM)
    parts = [percent(found.proven.mean) + (WORTHLESS if found.worthless else "")]
    if found.proven.std is not None:
        parts.append(f"±{percent(found.proven.std)}")
    if not found.proven.complete:
        parts += [f"{len(found.proven.gaps)} of {found.proven.seeds}", found.words]
    return Field(tuple(parts), Tone.AT_CHANCE if found.worthless else Tone.PLAIN)


def mean_order_field(row: Row) -> Field:
    """What is proven of the mean over the orders of ties; a dash where nothing is."""
    found = row.certified
    if found is None or found.mean_order.mean is None:
        return Field((NOT_KNOWN,))
    field = entry_field(found.mean_order, percent)
    mean, *rest = field.parts
    mark = WORTHLESS if found.worthless else ""
    return Field((mean + mark, *rest), Tone.AT_CHANCE if found.worthless else field.tone)


def proof_rank_field(row: Row) -> Field:
    """The rank by what is proven."""
    rank = None if row.certified is None else row.certified.rank
    return Field((NOT_RANKED if rank is None else str(rank),))


def rank_field(row: Row) -> Field:
    """The rank, or the ranks that cannot be told from it; a mark where a flag is up."""
    if row.codes:
        return Field((FLAGGED,), Tone.PROBLEM)
    return Field((row.ranks or NOT_RANKED,))


def mean_field(entry: Entry, board: Leaderboard, *, best: bool = False) -> Field:
    """A mAP with its spread, marked where it is below chance."""
    below = marked(entry, board)
    field = entry_field(entry, percent, mark=BELOW_CHANCE if below else "")
    if field.tone is not Tone.PLAIN:
        return field
    if below:
        return Field(field.parts, Tone.AT_CHANCE)
    return Field(field.parts, Tone.BEST if best else Tone.PLAIN)


def bound_field(entry: Entry) -> Field:
    """Chance or floor: what is the same for all seeds needs no spread."""
    return entry_field(entry, percent, spread=entry.std is not None and printed(entry.std) > 0)


def chance_field(row: Row, board: Leaderboard) -> Field:
    """Chance is the protocol's: a model that failed has it as well."""
    if row.chance.mean is None and board.chance is not None:
        return Field((percent(board.chance),))
    return bound_field(row.chance)


def tie_range_field(score: Score) -> Field:
    """A mAP and its range over the orders of ties."""
    field = entry_field(score.expected, percent, spread=False)
    mean, *rest = field.parts
    return Field((mean, *tie_range(score), *rest), field.tone)


def interval_field(entry: Entry) -> Field:
    """A mAP and its interval."""
    field = entry_field(entry, percent, spread=False)
    mean, *rest = field.parts
    ends = interval(entry)
    return Field((mean, *((ends,) if ends else ()), *rest), field.tone)


def interval(entry: Entry) -> str:
    """`[47.9, 51.6]`; empty where none is known."""
    found = entry.interval
    return "" if found is None else f"[{percent(found.low)}, {percent(found.high)}]"


def tie_range(score: Score) -> tuple[str, ...]:
    """The value in the worst and in the best order of ties; nothing where there is none."""
    worst, best = score.worst.mean, score.best.mean
    if score.expected.mean is None or worst is None or best is None:
        return ()
    return (f"[{percent(worst)}, {percent(best)}]",)


def entry_field(
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


def percent(value: float) -> str:
    """A share in percent, as every table writes it."""
    return f"{printed(value):.1f}"


def known_field(entry: Entry, write: Callable[[float], str]) -> Field:
    """A mean over the seeds that are known: why another has none stands beside its mAP."""
    return Field((NOT_KNOWN if entry.mean is None else write(entry.mean),))


def passes(count: float) -> str:
    """A count of passes: whole where it is; a mean over queries that were left early is not."""
    return f"{count:,.0f}" if count == round(count) else f"{count:,.1f}"


def seconds(value: float) -> str:
    """Seconds in two significant digits, and never with an exponent."""
    if value == 0:
        return "0"
    digits = max(0, 1 - math.floor(math.log10(abs(value))))
    return f"{value:,.{digits}f}"
