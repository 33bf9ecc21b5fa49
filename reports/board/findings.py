"""Why a row is shown but not ranked: cells without a result, and flags that are up. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from hashbench.reports.board.over_seeds import Entry, Gap
from hashbench.results.flags import Code, Flag


@dataclass(frozen=True)
class Finding:
    """One reason.

    Attributes:
        code: of the flag; `None` where a cell failed or was not run.
        words: what it rests on; may hold text of foreign origin.
    """

    code: Code | None
    words: str


def printed(value: float) -> float:
    """A share in percent as a table prints it: to one decimal."""
    return round(100 * value, 1)


def at_or_below(value: float, chance: float) -> bool:
    """Whether a value is at or below chance as far as a table prints them."""
    return printed(value) <= printed(chance)


def incomplete(entries: Sequence[tuple[str, Entry]]) -> Iterator[Finding]:
    """What has no number, and why; gaps of one reason together.

    A model that could not be trained is named once, not per attack.

    Args:
        entries: what is named, and its number over the seeds.
    """
    told: dict[Gap, list[str]] = {}
    for name, entry in entries:
        for gap in entry.gaps:
            told.setdefault(gap, []).append(name)
    several = any(entry.seeds > 1 for _, entry in entries)
    for gap, names in sorted(told.items()):
        where = f" ({seeds([gap.seed])})" if several else ""
        reason = f": {gap.reason}" if gap.reason else ""
        yield Finding(None, f"{', '.join(names)}{where} {gap.status.words}{reason}")


def flagged(by_seed: Mapping[int, Sequence[Flag]]) -> Iterator[Finding]:
    """The flags of a row, each once: in the words of the first seed that raises it.

    Args:
        by_seed: the flags of every seed of the row, none too. One seed is enough to flag a row.
    """
    for code in Code:
        found = {
            seed: flag.words
            for seed, flags in sorted(by_seed.items())
            for flag in flags
            if flag.code is code
        }
        if not found:
            continue
        first, *others = found
        where = f"{seeds([first])}: " if len(by_seed) > 1 else ""
        more = f"; likewise {seeds(others)}" if others else ""
        yield Finding(code, f"{where}{found[first]}{more}")


def seeds(numbers: Sequence[int]) -> str:
    """`seed 0`, or `seeds 0, 1`."""
    return f"{'seed' if len(numbers) == 1 else 'seeds'} {', '.join(map(str, numbers))}"
