"""'Did you mean': the nearest right name for a wrong one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Final

MOST_NAMED: Final = 20
"""Up to so many right names are all named; of more, the nearest ones."""

NEAREST: Final = 8
"""... so many of them."""

MAX_COMPARED: Final = 100
"""How much of a wrong name is compared: the time grows with the square of it."""


def did_you_mean(wrong: str, right: Iterable[str]) -> str:
    """A clause to append to an error message: the nearest right name, and what else there is.

    Args:
        wrong: what was typed.
        right: what would have been accepted.

    Returns:
        For example `"; did you mean 'cgat'? known: atrdh, cgat, none"`, or the empty string when
        nothing is accepted at all.
    """
    known = sorted(right)
    if not known:
        return ""
    wrong = wrong[:MAX_COMPARED]
    typed = wrong.lower()
    # The same letters in another order come first: 'hga' is 'hag', though 'tha' shares as many.
    near = [name for name in known if sorted(name.lower()) == sorted(typed)]
    near = sorted(near, key=lambda name: name.lower() != typed)[:1]
    near = near or difflib.get_close_matches(typed, known, n=1, cutoff=0.5)
    # Nothing looks alike, but one choice begins as the wrong word does: 'pgd' -> 'pgd-hamming'.
    near = near or [name for name in known if typed and name.startswith(typed)][:1]
    guess = f"; did you mean '{near[0]}'?" if near else ";"
    return f"{guess} known: {_listed(typed, known)}"


def _listed(typed: str, known: list[str]) -> str:
    """All of a few names; of many the nearest ones, and how many more there are."""
    if len(known) <= MOST_NAMED:
        return ", ".join(known)
    nearest = difflib.get_close_matches(typed, known, n=NEAREST, cutoff=0.0)
    return f"{', '.join(sorted(nearest))} and {len(known) - len(nearest)} more"
