"""The section 'Beside published numbers': its sheets and sentences. Pure; draws nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hashbench.reports.board.leaderboard import Leaderboard
from hashbench.reports.papers.comparison import (
    Comparison,
    Pair,
    comparisons,
    counterparts,
    grouped,
    in_percent,
)
from hashbench.reports.papers.published import PRESUMED, PublishedRow, known_numbers, name_of
from hashbench.reports.text.sentences import HASH, one_line
from hashbench.reports.text.sheet import Field, Sheet, Tone
from hashbench.results.metrics import is_toward_targets
from hashbench.results.results import Results

TITLE = "Beside published numbers"

NOTHING = "-"
"""Stands where no difference can be given."""

_HEADER = ("bits", "defense", "attack", "measured", "published", "difference", "differs")


@dataclass(frozen=True)
class Part:
    """One table of the section.

    Attributes:
        title: of foreign origin, on one line.
        sheet: the table.
        legend: what the letters in its last column stand for, one per line.
        conditions: which tables above the measured numbers are from, and how the published ones
            came about.
    """

    title: str
    sheet: Sheet
    legend: tuple[str, ...]
    conditions: tuple[str, ...]


@dataclass(frozen=True)
class Section:
    """The section.

    Attributes:
        parts: its tables, at least one.
        notes: what holds for all of them.
    """

    parts: tuple[Part, ...]
    notes: tuple[str, ...]


def section(
    results: Results, boards: Iterable[Leaderboard], files: Iterable[str | Path] = ()
) -> Section | None:
    """Put results beside what papers report.

    Args:
        results: every cell of the folders that are reported.
        boards: the leaderboards of the results.
        files: further files of published numbers, besides those that ship.

    Returns:
        The section, or `None` where nothing that was measured has a published counterpart.

    Raises:
        UsageError: a file is missing or malformed.
    """
    numbers = known_numbers(files)
    tables = comparisons(results, numbers, boards)
    if not tables:
        return None
    return Section(tuple(map(_part, tables)), tuple(_notes(tables, numbers)))


def letters(place: int) -> str:
    """Names of notes: a, b, ..., z, aa, ab, ..."""
    first, last = divmod(place, 26)
    return (letters(first - 1) if first else "") + chr(ord("a") + last)


def _part(table: Comparison) -> Part:
    notes = list(dict.fromkeys(note for pair in table.pairs for note in pair.differs))
    names = {note: letters(place) for place, note in enumerate(notes)}
    defenses = _short(pair.defense for pair in table.pairs)
    attacks = _short(pair.attack for pair in table.pairs)
    rows = tuple(
        (
            Field((str(pair.published.bits),)),
            Field((defenses[pair.defense],), Tone.NAME),
            Field((attacks[pair.attack],)),
            _measured(pair),
            Field((str(pair.published.percent),)),
            Field((_signed(pair),)),
            Field(_separated([names[note] for note in pair.differs])),
        )
        for pair in table.pairs
    )
    what = (
        f"{_metric_words(table.metric)} in percent; difference: measured minus published, in points"
    )
    return Part(
        title=_title(table),
        sheet=Sheet(what, _HEADER, rows, names=3, name=TITLE, whole_heads=True),
        legend=tuple(f"{name}: {one_line(note)}." for note, name in names.items()),
        conditions=tuple(_conditions(table)),
    )


def _short(texts: Iterable[str]) -> Mapping[str, str]:
    """Plugins by their names alone; with their parameters where the name would not tell them."""
    all_texts = set(texts)
    names = [name_of(text) for text in all_texts]
    return {
        text: one_line(text if names.count(name_of(text)) > 1 else name_of(text))
        for text in all_texts
    }


def _title(table: Comparison) -> str:
    group = table.group
    parts = [f"{table.source}, table {table.table}: {group.dataset}", group.loss, group.backbone]
    parts += [table.metric] + ([f"eps {group.eps}"] if group.eps != "0" else [])
    return ", ".join(one_line(part) for part in parts)


def _metric_words(metric: str) -> str:
    targeted = is_toward_targets(metric)
    _, at, length = metric.partition("@")
    words = f"mAP@{length}" if at else "mAP over the whole ranking"
    return f"t-{words} (for the target's labels)" if targeted else words


def _measured(pair: Pair) -> Field:
    expected = pair.measured.expected
    if pair.percent is None:
        return Field((expected.status.words,), Tone.PROBLEM)
    parts = [str(pair.percent)]
    if expected.std is not None:
        parts.append(f"±{in_percent(expected.std, 1)}")
    worst, best = pair.measured.worst.mean, pair.measured.best.mean
    if worst is not None and best is not None:
        parts.append(f"[{in_percent(worst, 1)}, {in_percent(best, 1)}]")
    if not expected.complete:
        parts += [f"{len(expected.gaps)} of {expected.seeds}", expected.status.words]
    return Field(tuple(parts), Tone.PLAIN if expected.complete else Tone.PROBLEM)


def _signed(pair: Pair) -> str:
    points = pair.difference
    if points is None:
        return NOTHING
    return f"{points:+}" if points else str(abs(points))


def _separated(names: Sequence[str]) -> tuple[str, ...]:
    return (*(f"{name}," for name in names[:-1]), *names[-1:]) or ("",)


def _conditions(table: Comparison) -> Iterator[str]:
    group = table.group
    yield f"Measured: protocol {group.protocol[:HASH]}, training {group.training[:HASH]}."
    for stated in dict.fromkeys(_stated(pair.published) for pair in table.pairs):
        yield f"Published: {one_line(stated)}."


def _stated(row: PublishedRow) -> str:
    return (
        f"{grouped(row.queries)} queries against {grouped(row.database)} images, "
        f"{grouped(row.train)} to train on; loss {row.loss}, backbone {row.backbone}"
    )


def _notes(tables: Sequence[Comparison], numbers: Sequence[PublishedRow]) -> Iterator[str]:
    yield (
        "In brackets: with the worst and with the best order of ties. Papers leave equal distances "
        "in the order of a sort, so what lies between the two may be that alone. A difference says "
        "little where protocol, loss or backbone differ."
    )
    if any(
        condition.presumed
        for table in tables
        for pair in table.pairs
        for condition in pair.published.conditions
    ):
        yield (
            f"{PRESUMED} stands behind what the source does not state, but its scripts or data "
            "suggest."
        )
    for source, count in counterparts(tables).items():
        total = sum(row.source == source for row in numbers)
        rest = total - count
        yield (
            f"{one_line(source)}: {count} of {total} published numbers stand here; {rest} "
            f"{'has' if rest == 1 else 'have'} no measured counterpart."
        )
