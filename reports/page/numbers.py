"""Numbers as the page writes them: text, what it is sorted by, spread, interval. Pure."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from typing import Final

from hashbench.reports.board.certified import Certified
from hashbench.reports.board.findings import printed
from hashbench.reports.board.leaderboard import Leaderboard
from hashbench.reports.board.over_seeds import Entry
from hashbench.reports.board.row import not_asked
from hashbench.reports.text.sentences import marked

NOTHING = "\N{EN DASH}"
"""Stands where nobody measured, or asked for it."""


@dataclass(frozen=True)
class Number:
    """One number of the page.

    Attributes:
        text: in percent to one decimal; or a word for why there is none.
        value: what the table sorts it by, in percent; empty where there is none.
        spread: sample standard deviation over the seeds, `±0.6`; empty where there is one seed.
        bounds: the 95 % interval, `49.8 to 54.1`; empty where it is not known.
        gap: how many seeds lack it and why, `1 of 3 failed`; empty where none does.
        low: whether it lies at or below chance.
        known: whether there is a number.
        worthless: whether it is a proof of no more than chance.
    """

    text: str
    value: str = ""
    spread: str = ""
    bounds: str = ""
    gap: str = ""
    low: bool = False
    known: bool = False
    worthless: bool = False

    @property
    def spoken(self) -> str:
        """All of it in one line, for descriptions of figures."""
        beside = [self.spread, f"[{self.bounds}]" if self.bounds else "", self.gap]
        return " ".join([self.text, *filter(None, beside)])


NO_NUMBER: Final = Number(NOTHING)
"""Where nobody measured, or asked for it."""


def number(entry: Entry, board: Leaderboard | None = None) -> Number:
    """A mean over seeds as a number of the page.

    Args:
        entry: the value, in `[0, 1]`.
        board: whose chance it is compared with; `None` where that says nothing.
    """
    mean, std = entry.mean, entry.std
    if not_asked(entry):
        return Number(NOTHING)
    if mean is None:
        return Number(entry.status.words)
    gap = ""
    if not entry.complete:
        gap = f"{len(entry.gaps)} of {entry.seeds} {entry.status.words}"
    return Number(
        text=percent(mean),
        value=f"{100 * mean:.4f}",
        spread="" if std is None else f"±{percent(std)}",
        bounds=""
        if entry.interval is None
        else f"{percent(entry.interval.low)} to {percent(entry.interval.high)}",
        gap=gap,
        low=board is not None and marked(entry, board),
        known=True,
    )


def proven(found: Certified | None, *, mean_order: bool = False) -> Number:
    """What is proven of a model, or in words that nothing is.

    Args:
        found: its certificates.
        mean_order: of the mean over the orders of ties, where that is known; else of the worst one.
    """
    if found is None:
        return Number(NOTHING)
    if found.proven.mean is None:
        return Number(found.words)
    plain = number(found.least if mean_order else found.proven)
    missing = f"{len(found.proven.gaps)} of {found.proven.seeds} {found.words}"
    return replace(plain, worthless=found.worthless, gap="" if found.proven.complete else missing)


def mean_order(found: Certified | None) -> str:
    """What is proven of the mean over the orders of ties, in percent; empty where it is unknown."""
    mean = None if found is None else found.mean_order.mean
    return "" if mean is None else percent(mean)


def percent(value: float) -> str:
    """A share in percent, to one decimal."""
    return f"{printed(value):.1f}"


def anchor(prefix: str, *texts: object) -> str:
    """A name for a link that stays the same as long as what it names does: `m-1f0c2a9d3e`.

    Args:
        prefix: one letter for the kind of what is named.
        texts: what it is, of any origin.
    """
    said = json.dumps([str(text) for text in texts])
    return f"{prefix}-{hashlib.sha256(said.encode()).hexdigest()[:10]}"
