"""All that a report tells of matches, in the order in which it is read. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from hashbench.reports.matches.rows import Group, groups, is_done
from hashbench.reports.matches.sheets import sheets
from hashbench.reports.text.merging import sentences_of
from hashbench.reports.text.reproduce import laid_out
from hashbench.reports.text.sentences import one_line, shortened
from hashbench.reports.text.sheet import Sheet
from hashbench.results.matches import metrics
from hashbench.results.matches.results import LEAST, NO_ATTACK, MatchResult, MatchResults, Threat

TITLE: Final = "Robustness of fixed hashes"
"""Heads every report of matches."""

WRONG: Final = "WRONG"
"""Stands before a sentence on an attack that undoes a proof."""

MOST_NAMED: Final = 10
"""Cells without a result that a report names; the CSV has all of them."""

_EPS: Final = (
    "eps: how far each value of a pixel may move, in [0, 1]; 1/255 is one step of an 8-bit file. "
    "Pictures that were brought to another size are known more finely than their file: the "
    "attacker moves the real values by at most eps, and saving rounds. A picture of its own size "
    "moves by whole steps alone."
)
_COUNTS: Final = (
    "What counts: the attacked picture is saved as an 8-bit PNG, read again and judged by the "
    "library that people run. Evasion: its code is more than T bits from that of the clean file. "
    "Collision: it is at most T bits from that of a stranger."
)
_PROVEN: Final = (
    "Proven eps: no file that an attacker may save within it evades, whatever the attack; rounded "
    "down. Where it is 0.00 nothing is proven."
)
_SMOOTHED: Final = (
    "Smoothed: another hash, made of the one in use: each bit is the one that most pictures around "
    "this one have, under Gaussian noise of deviation sigma on every value. Distance: in l2 over "
    "all values of a picture in [0, 1], inside of which its smoothed code still matches at T, "
    "whoever attacks; as eps: the same as a change of every value. Rounded down. Of each picture "
    "this is true with a probability of 99.9 percent, over the draws of the noise. It says nothing "
    "of the plain hash, and what T costs the innocent was not counted for it."
)
_LEAST: Final = (
    "Least eps: the smallest at which the attack succeeded, picture by picture; rounded up. The "
    "attack shows that the truth is no larger, and a better attack may find less. never: it "
    "succeeded at no eps that was tried."
)
_INNOCENT: Final = (
    "TPR: pictures that still match at T after a change that people make, over all such changes; "
    "an unchanged copy always matches. FPR: pairs of different pictures that match at T."
)
_OVER_THRESHOLDS: Final = (
    "tpr@fpr: the largest TPR of all thresholds whose FPR is at most that. EER: where as many "
    "matches are missed as false ones are told. recall@precision: the largest recall of all "
    "thresholds whose precision is at least that. micro-AP: over all pairs at once, ties in the "
    "worst order. Every pair is counted; a rate below one in all pairs of different pictures "
    "cannot be seen on so few."
)
_QUERIES: Final = (
    "Queries: how many distances an attack asked for, the median over the pictures where it "
    "succeeded, at the largest eps where it did."
)
_DASH: Final = "-: nobody asked for it."


@dataclass(frozen=True)
class Chapter:
    """What is told of one set of pictures.

    Attributes:
        title: which, on one line; of any origin.
        sheets: its tables.
        notes: sentences below them.
        group: whose cells they are.
    """

    title: str
    sheets: tuple[Sheet, ...]
    notes: tuple[str, ...]
    group: Group


@dataclass(frozen=True)
class Told:
    """The whole report.

    Attributes:
        violations: attacks that undo a proof, a sentence each; before all else.
        not_read: what could not be read, a sentence each.
        chapters: one per set of pictures and seed.
        notes: what the numbers mean, once for all tables.
        commands: ask for the same cells.
    """

    violations: tuple[str, ...]
    not_read: tuple[str, ...]
    chapters: tuple[Chapter, ...]
    notes: tuple[str, ...]
    commands: tuple[str, ...]


def told(matches: MatchResults) -> Told:
    """What a report says of matches, every sentence on one line."""
    chapters = tuple(_chapter(group) for group in groups(matches))
    return Told(
        violations=tuple(f"{WRONG} {one_line(words)}" for words in matches.violations),
        not_read=sentences_of(matches.troubles),
        chapters=chapters,
        notes=tuple(_meanings(matches)) if chapters else ("These results hold no cell.",),
        commands=tuple(laid_out(command) for command in matches.commands),
    )


def _chapter(group: Group) -> Chapter:
    return Chapter(group.title, sheets(group), tuple(_notes(group)), group)


def _notes(group: Group) -> Iterator[str]:
    if group.card is not None:
        yield from (one_line(note) for note in group.card.notes)
    yield from _queries(group)
    yield from _without_result([one for one in group.cells if not is_done(one)])


def _queries(group: Group) -> Iterator[str]:
    """What black-box attacks may ask for."""
    budgets = {(one_line(one.cell.attack), one.queries) for one in group.cells if one.black_box}
    for attack, budget in sorted(budgets):
        yield f"{attack} sees distances alone, and may ask for {budget:,} of each picture."


def _without_result(lost: Sequence[MatchResult]) -> Iterator[str]:
    for one in lost[:MOST_NAMED]:
        cell = one.cell
        where = "" if cell.attack == NO_ATTACK else f", {cell.attack}"
        where += f", eps {cell.eps}" if one.threat.is_attack else ""
        known = one.reason and one.reason != one.status.words
        why = f": {shortened(one.reason).rstrip('.')}" if known else ""
        yield f"{one_line(f'{cell.hash}{where}')} ({one.threat}) {one.status.words}{why}."
    rest = len(lost) - MOST_NAMED
    if rest > 0:
        yield f"So it is with {rest:,} more cells: see the csv report."


def _meanings(matches: MatchResults) -> Iterator[str]:
    threats = {one.threat for one in matches.cells}
    names = {name for one in matches.cells for name in one.metrics}
    if any(threat.is_attack or threat is Threat.PROOF for threat in threats):
        yield _EPS
        yield _COUNTS
    if Threat.PROOF in threats:
        yield _PROVEN
    if Threat.SMOOTHED in threats:
        yield _SMOOTHED
    if any(one.cell.eps == LEAST and one.threat.is_attack for one in matches.cells):
        yield _LEAST
    if any(one.black_box for one in matches.cells):
        yield _QUERIES
    if Threat.INNOCENT in threats:
        yield _INNOCENT
    if names & {*metrics.TPR_AT_FPR, *metrics.RECALL_AT_PRECISION, metrics.EER}:
        yield _OVER_THRESHOLDS
    yield _DASH
