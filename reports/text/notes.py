"""The notes below a table: marks, rows that are not ranked and why, what looks odd. Pure text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from hashbench.reports.board.certified import NOTHING_PROVEN
from hashbench.reports.board.counting import is_control
from hashbench.reports.board.findings import incomplete, printed
from hashbench.reports.board.leaderboard import Leaderboard
from hashbench.reports.board.row import FallsShort, Row, not_asked
from hashbench.reports.board.uncertainty import NEIGHBOURS
from hashbench.reports.text.merging import conflict_notes, namesake_notes
from hashbench.reports.text.sentences import (
    BELOW_CHANCE,
    FLAGGED,
    WORTHLESS,
    marked,
    one_line,
    radius,
    shortened,
)
from hashbench.results.cell import Status
from hashbench.results.flags import least_useful

TIE_SPAN = 0.3
"""Best minus worst order of ties in the clean mAP from which on a model gets a note."""


def notes_on(board: Leaderboard) -> tuple[str, ...]:
    """What explains the table: marks, rows that are not ranked and why, and what looks odd."""
    return (
        *_marks(board),
        *_together(board),
        *_certificates(board),
        *_shared(board),
        *_incomplete(board),
        *_flags(board),
        *_few_codes(board),
        *_odd_seeds(board),
        *_short_attacks(board),
        *_weak_attacks(board),
        *_found_again(board),
        *_lost_targets(board),
        *conflict_notes(board),
        *namesake_notes(board),
    )


def _marks(board: Leaderboard) -> Iterator[str]:
    entries = [
        entry
        for row in board.rows
        for entry in (row.clean.expected, *(s.expected for s in row.attacked), row.worst_case)
    ]
    if board.chance is not None and any(marked(entry, board) for entry in entries):
        yield (
            f"{BELOW_CHANCE} at or below chance ({printed(board.chance):.1f}): a random order does "
            "as well. An attack can push a useful model far below it; a defense that stays "
            "there is not robust."
        )


def _certificates(board: Leaderboard) -> Iterator[str]:
    """What a proof says, whose proof says nothing, and why others have none."""
    found = [(row, row.certified) for row in board.rows if row.certified is not None]
    if not found:
        return
    yield (
        "certified: proven mAP, ties in their worst order: no attack inside the radius leaves "
        "less, known or unknown. # proof: the ranks by it. mean order: the same for the mean over "
        "the orders of ties, which every other mAP here is: the true robust mAP lies between it "
        "and the worst case."
        if any(one.mean_order.values for _, one in found)
        else "certified: proven mAP, ties in their worst order: no attack inside the radius leaves "
        "less, known or unknown. The true robust mAP lies between it and the worst case. # proof: "
        "the ranks by it."
    )
    if board.chance is not None and any(one.worthless for _, one in found):
        line = printed(least_useful(board.chance))
        yield (
            f"{WORTHLESS} worthless: what is proven is near chance ({printed(board.chance):.1f}), "
            f"or below it; {line:.1f} or more would say that the model retrieves."
        )
    reasons: dict[str, list[str]] = {}
    for row, one in found:
        if one.reason:
            reasons.setdefault(shortened(one.reason).rstrip("."), []).append(one_line(row.defense))
    for reason, defenses in reasons.items():
        prefix = f"{NOTHING_PROVEN}: "
        yield f"No certificate of {', '.join(defenses)}: {reason.removeprefix(prefix)}."


def _together(board: Leaderboard) -> Iterator[str]:
    """Ranks that cannot be told apart, and why none can be by one query."""
    wide = next((row.ranks for row in board.rows if row.first_rank != row.last_rank), None)
    if wide is not None:
        ranked = sum(row.rank is not None for row in board.rows)
        far = f" (of the {NEIGHBOURS} above and below it)" if ranked > NEIGHBOURS + 1 else ""
        yield (
            f"{wide} in place of a rank: the ranks{far} that cannot be told from its own by these "
            f"{board.protocol.query:,} queries: 0 lies in the 99 % interval of the paired "
            "difference of the worst cases."
        )
    if board.can_rank and board.protocol.query == 1:
        yield "One query says nothing of others: no number has an interval, and no rank is sure."


def _shared(board: Leaderboard) -> Iterator[str]:
    """Which attacks count, where some of the table's do not; and what was not asked for."""
    others = [attack for attack in board.attacks if attack not in board.shared]
    if board.can_rank and others:
        yield (
            "Ranks and worst cases are over the attacks that all ranked rows share: "
            f"{_enumerated(board.shared)}. Shown, but not counted: {_enumerated(others)}."
        )
    entries = [score.expected for row in board.rows for score in row.attacked]
    entries += [found.own for row in board.rows for found in row.targeted]
    if any(map(not_asked, entries)):
        yield "- in place of a number: this attack was not asked for on this model."


def _enumerated(names: Sequence[str]) -> str:
    return one_line(", ".join(names))


def _incomplete(board: Leaderboard) -> Iterator[str]:
    for row in board.rows:
        gaps = [finding.words for finding in row.findings if finding.code is None]
        if gaps:
            words = "; ".join(shortened(words).rstrip(".") for words in gaps)
            yield f"{'Not ranked: ' if board.can_rank else ''}{one_line(row.defense)}: {words}."
    for row in board.rows:
        if row.asides:
            words = "; ".join(shortened(found.words).rstrip(".") for found in row.asides)
            yield f"Not counted, and without a result: {one_line(row.defense)}: {words}."


def _flags(board: Leaderboard) -> Iterator[str]:
    if any(row.codes for row in board.rows):
        yield (
            f"{FLAGGED} flagged: something speaks against the numbers of this row"
            f"{', and it is not ranked' if board.can_rank else ''}."
        )
    for row in board.rows:
        for finding in row.findings:
            if finding.code is not None:
                yield (
                    f"{one_line(row.defense)}: {finding.code}: {shortened(finding.words)}. "
                    f"See {finding.code.page}."
                )


def _odd_seeds(board: Leaderboard) -> Iterator[str]:
    if len({row.seeds for row in board.rows}) > 1:
        rows = "; ".join(
            f"{one_line(row.defense)} {', '.join(map(str, row.seeds))}" for row in board.rows
        )
        yield f"The rows rest on different seeds: {rows}."


def _few_codes(board: Leaderboard) -> Iterator[str]:
    """Models whose own clean mAP hangs on the order of ties: too coarse to tell much."""
    for row in board.rows:
        low, high = row.clean.worst.mean, row.clean.best.mean
        if low is not None and high is not None and high - low > TIE_SPAN:
            yield (
                f"On {one_line(row.defense)}, the clean mAP lies anywhere from {printed(low):.1f} "
                f"to {printed(high):.1f}, depending on the order of ties: it has few codes, and "
                "what an attack leaves of it is no measure of robustness."
            )


def _short_attacks(board: Leaderboard) -> Iterator[str]:
    """Attacks whose steps do not reach the radius: their numbers are those of a smaller one."""
    found: dict[FallsShort, list[str]] = {}
    for row in board.rows:
        for short in row.short:
            found.setdefault(short, []).append(one_line(row.defense))
    for short, defenses in sorted(found.items()):
        steps = f"its {short.steps:g} steps" if short.steps > 1 else "its steps"
        yield (
            f"{one_line(short.attack)} on {', '.join(defenses)} cannot reach the radius: {steps} "
            f"move a pixel by {_in_steps(short.reach)} at most, and {radius(board.group.eps)} is "
            "allowed. More steps, or larger ones, may leave less."
        )


def _in_steps(change: float) -> str:
    """A change of a pixel in steps of 1/255: `10/255`, `13.5/255`."""
    return f"{255 * change:.3g}/255"


def _weak_attacks(board: Leaderboard) -> Iterator[str]:
    """Attacks that do less than the control: their numbers are no evidence of robustness."""
    controls = [place for place, attack in enumerate(board.attacks) if is_control(attack)]
    for row in board.rows:
        if not controls or row.attacked[controls[0]].expected.status is not Status.DONE:
            continue
        noise = printed(row.attacked[controls[0]].expected.mean or 0.0)
        for place, attack in enumerate(board.attacks):
            if place not in controls and _weaker(row, place, noise):
                mean = printed(row.attacked[place].expected.mean or 0.0)
                yield (
                    f"On {one_line(row.defense)}, {one_line(attack)} ({mean:.1f}) does less than "
                    f"random noise ({noise:.1f}): it failed here as an attack."
                )


def _found_again(board: Leaderboard) -> Iterator[str]:
    """Queries that find themselves: every number of the table is a little too high."""
    found = max((row.found_again for row in board.rows), default=0)
    if found:
        queries = f"{found:,} queries are" if found > 1 else "1 query is"
        yield (
            f"{queries} in the database too, with the same content, of "
            f"{board.protocol.query:,}: such a query finds itself."
        )


def _weaker(row: Row, place: int, noise: float) -> bool:
    entry = row.attacked[place].expected
    return entry.complete and printed(entry.mean or 0.0) > noise


def _lost_targets(board: Leaderboard) -> Iterator[str]:
    """Targeted attacks without a number: they cost no row its rank, but are named."""
    for row in board.rows:
        # Where the model itself has none, that was told once.
        known = {gap for score in (row.clean, *row.attacked) for gap in score.expected.gaps}
        entries = [
            (attack, replace(found.own, gaps=tuple(g for g in found.own.gaps if g not in known)))
            for attack, found in zip(board.targeted, row.targeted, strict=True)
        ]
        gaps = [shortened(finding.words).rstrip(".") for finding in incomplete(entries)]
        if gaps:
            yield f"{one_line(row.defense)}: {'; '.join(gaps)}."
