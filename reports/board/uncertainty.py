"""How sure the numbers and the ranks of a table are, for other queries of the same kind. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hashbench.reports.board.over_seeds import Entry
from hashbench.reports.board.row import Row, Score, Targeted
from hashbench.reports.board.row_reader import RowReader
from hashbench.results.cell import CLEAN
from hashbench.results.intervals import Interval, intervals, unseparated

NEIGHBOURS: Final = 25
"""How many ranks above and below its own a model is compared with: in a table of hundreds of models
that are all alike, a range of ranks ends there."""

PerQuery = NDArray[np.float64]
"""A value of each query, (Q,)."""


@dataclass(frozen=True)
class Samples:
    """What the means of a row are of: a value for each query, the mean over the seeds.

    Attributes:
        clean: without an attack.
        attacked: under each untargeted attack of the table.
        own: under each targeted one, by the query's own labels.
        worst_case: the lowest over the attacks that count.
    """

    clean: PerQuery
    attacked: tuple[PerQuery, ...]
    own: tuple[PerQuery, ...]
    worst_case: PerQuery


def samples_of(reader: RowReader, shared: Collection[str]) -> Samples:
    """Of a row; empty where there is no number.

    Args:
        reader: of the row.
        shared: the attacks that count in its table.
    """
    return Samples(
        clean=reader.per_query(CLEAN),
        attacked=tuple(map(reader.per_query, reader.attacks)),
        own=tuple(map(reader.per_query, reader.targeted)),
        worst_case=reader.minima(shared),
    )


Table = tuple[Sequence[Row], Mapping[str, Samples]]
"""The rows of a table, the ranked ones first, and their samples by defense."""


def with_intervals(tables: Sequence[Table]) -> list[tuple[Row, ...]]:
    """The rows of tables with the intervals of their numbers, and ranges of ranks.

    A model cannot be told from another one where 0 lies in the 99 % interval of the paired
    difference of their worst cases. Its ranks are those from the first to the last model, upwards
    and downwards from its own, of which this holds without a gap; at most `NEIGHBOURS` away.

    Args:
        tables: all at once, so that queries are drawn anew once for all of them.
    """
    pairs = [(row, samples[row.defense]) for rows, samples in tables for row in rows]
    found = iter(intervals([one for _, of in pairs for one in _in_order(of)]))
    bounded = iter([_bounded(row, [next(found) for _ in _in_order(of)]) for row, of in pairs])
    whole = [[next(bounded) for _ in rows] for rows, _ in tables]
    return _ranged(whole, [samples for _, samples in tables])


def _in_order(samples: Samples) -> tuple[PerQuery, ...]:
    return (samples.clean, *samples.attacked, *samples.own, samples.worst_case)


def _bounded(row: Row, found: Sequence[Interval | None]) -> Row:
    """A row with its intervals, in the order of `_in_order`."""
    clean, *rest, worst = found
    attacked, own = rest[: len(row.attacked)], rest[len(row.attacked) :]
    return replace(
        row,
        clean=_of_score(row.clean, clean),
        attacked=tuple(map(_of_score, row.attacked, attacked)),
        targeted=tuple(map(_of_targeted, row.targeted, own)),
        worst_case=_of_entry(row.worst_case, worst),
    )


def _of_score(score: Score, interval: Interval | None) -> Score:
    return replace(score, expected=_of_entry(score.expected, interval))


def _of_targeted(targeted: Targeted, interval: Interval | None) -> Targeted:
    """Of the mAP by its own labels: t-AP is not kept for each query."""
    return replace(targeted, own=_of_entry(targeted.own, interval))


def _of_entry(entry: Entry, interval: Interval | None) -> Entry:
    return replace(entry, interval=interval) if entry.values else entry


def _ranged(
    tables: Sequence[Sequence[Row]], samples: Sequence[Mapping[str, Samples]]
) -> list[tuple[Row, ...]]:
    """The rows with the ranks that cannot be told from theirs."""
    ranked = [[row for row in rows if row.rank is not None] for rows in tables]
    known: dict[int, PerQuery] = {}
    for place, (good, of) in enumerate(zip(ranked, samples, strict=True)):
        minima = [of[row.defense].worst_case for row in good]
        lengths = {one.size for one in minima}
        if len(lengths) == 1 and lengths.pop() > 1:
            known[place] = np.stack(minima)
    spans = dict(zip(known, unseparated(list(known.values()), NEIGHBOURS), strict=True))
    found = []
    for place, (rows, good) in enumerate(zip(tables, ranked, strict=True)):
        ranks = [row.rank for row in good]
        ranges = {
            row.defense: (ranks[first], ranks[last])
            for row, (first, last) in zip(good, spans.get(place, ()), strict=False)
        }
        found.append(
            tuple(
                replace(row, first_rank=both[0], last_rank=both[1])
                if (both := ranges.get(row.defense)) is not None
                else row
                for row in rows
            )
        )
    return found
