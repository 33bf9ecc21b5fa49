"""How much one figure shows: what more there is, is left out and said. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Final

from hashbench.characters import counted
from hashbench.reports.board.counting import is_control
from hashbench.reports.board.leaderboard import Leaderboard
from hashbench.reports.board.over_seeds import Entry
from hashbench.reports.text.sentences import seeds_in_brackets

MOST_MODELS: Final = 12
MOST_ATTACKS: Final = 11
MOST_BARS: Final = 72


@dataclass(frozen=True)
class Part:
    """What is drawn of a table.

    Attributes:
        board: the part.
        note: what was left out, as a sentence; empty for nothing.
        whole: whether the worst case of the table is over all its attacks.
    """

    board: Leaderboard
    note: str
    whole: bool


def drawn(board: Leaderboard, *, bars: bool = False) -> Part:
    """The first models of a table and its strongest attacks, the control among them.

    Args:
        board: the table.
        bars: whether each number is a bar, which limits how many there may be.
    """
    part = attacks_of(board, kept_attacks([board]))
    models = min(MOST_MODELS, MOST_BARS // (len(part.attacks) + 2)) if bars else MOST_MODELS
    left = [
        first(models, len(board.rows), "model"),
        _strongest(len(part.attacks), len(board.attacks)),
    ]
    part = replace(part, rows=part.rows[:models])
    return Part(part, sentence(left), whole=board.shared == board.attacks)


def kept_attacks(boards: Sequence[Leaderboard]) -> tuple[str, ...]:
    """The attacks that are drawn of some tables, as they stand there: the control, then by name."""
    entries: dict[str, list[float]] = {}
    for board in boards:
        for place, attack in enumerate(board.attacks):
            found = (row.attacked[place].expected.mean for row in board.rows)
            entries.setdefault(attack, []).extend(mean for mean in found if mean is not None)
    strength = {name: fmean(values) if values else math.inf for name, values in entries.items()}
    ordered = sorted(entries, key=lambda name: (not is_control(name), strength[name], name))
    return tuple(sorted(ordered[:MOST_ATTACKS], key=lambda name: (not is_control(name), name)))


def attacks_of(board: Leaderboard, kept: Sequence[str]) -> Leaderboard:
    """The same table with these attacks alone; its worst case is as it was."""
    if len(kept) == len(board.attacks):
        return board
    places = [place for place, attack in enumerate(board.attacks) if attack in kept]
    rows = tuple(
        replace(row, attacked=tuple(row.attacked[place] for place in places)) for row in board.rows
    )
    return replace(board, attacks=tuple(board.attacks[place] for place in places), rows=rows)


def sentence(left: Iterable[str]) -> str:
    """What is drawn, where that is not all."""
    said = [words for words in left if words]
    return f"Drawn: {', '.join(said)}; the tables have all." if said else ""


def first_models(of: int) -> str:
    """How many models are drawn, where that is not all."""
    return first(MOST_MODELS, of, "model")


def strongest_attacks(count: int, of: int) -> str:
    """How many attacks are drawn, where that is not all."""
    return _strongest(count, of)


def spread_in_brackets(board: Leaderboard, entries: Iterable[Entry], how: str) -> str:
    """For a title: what the whiskers or bands are.

    Args:
        board: whose numbers are drawn.
        entries: the numbers.
        how: what shows an interval, as `whiskers`.
    """
    several = seeds_in_brackets(board, "mean and standard deviation")
    if several:
        return several
    if any(entry.interval is not None for entry in entries):
        return f" ({how}: 95 % interval over queries)"
    return ""


def reach(entry: Entry) -> tuple[float, float] | None:
    """Lower and upper end of a whisker, as shares: of several seeds, else of the queries."""
    mean, std = entry.mean, entry.std
    if mean is None:
        return None
    if std is not None:
        return mean - std, mean + std
    if (
        entry.interval is None or entry.seeds > 1
    ):  # of one seed of several it says less than it does
        return None
    return min(mean, entry.interval.low), max(mean, entry.interval.high)


def first(most: int, of: int, one: str, several: str = "") -> str:
    """How many are drawn, where that is not all; the words as `counted` takes them."""
    return f"the first {most} of {counted(of, one, several)}" if of > most else ""


def _strongest(count: int, of: int) -> str:
    return f"the {count} strongest of {counted(of, 'attack')}" if of > count else ""
