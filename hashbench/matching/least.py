"""The least radius of each picture at which an attack was seen to succeed, by bisection."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from hashbench.errors import PluginError, UsageError
from hashbench.matching.pictures import STEPS
from hashbench.matching.trials import TOGETHER, Meeting, Trial

RADII: Final = (1, 2, 4, 8, 16, 32, 64)
"""In steps of 8 bits: where the search begins."""

PARTS: Final = 16
"""In how many parts of a step the radius is told."""


@dataclass(frozen=True)
class Least:
    """Of one picture.

    Attributes:
        eps: the least radius at which it was won, in `[0, 1]` pixels; `None` where it never was.
        trial: what was made of it then, as it was read again; `None` where it never was won.
    """

    eps: Fraction | None
    trial: Trial | None

    @property
    def value(self) -> float:
        """The radius as a number; infinite where there is none."""
        return math.inf if self.eps is None else float(self.eps)


def least_radii(
    meeting: Meeting,
    *,
    won: Mapping[Fraction, Sequence[bool]] | None = None,
    radii: Sequence[int] = RADII,
    parts: int = PARTS,
    together: int = TOGETHER,
    progress: Callable[[int], None] | None = None,
) -> list[Least]:
    """Search the least radius of every picture of a meeting.

    From the smallest radius on until one is won, and by halves from there to the largest below it
    that was lost. More radius need not help an attack, so what is told is the least at which a
    success was seen, not one below which there is none. Pictures that come in whole steps are asked
    at whole steps alone, between which their box does not change.

    Args:
        meeting: the attack, the hash and the pictures.
        won: what is known already: of a radius, which pictures were won there. Where that is the
            least one in the end, the picture is attacked there once more, for its file: an attack
            makes the same of a picture whatever it is attacked with.
        radii: where the search begins, in steps of 8 bits, rising.
        parts: in how many parts of a step the radius is told.
        together: pictures in a call of the attack; see `Meeting.at`.
        progress: told how many pictures are done.

    Raises:
        UsageError: radii that do not rise from 1 on, or fewer than one part.
        PluginError: the attack broke its contract.
    """
    if parts < 1 or not radii or list(radii) != sorted(set(radii)) or radii[0] < 1:
        raise UsageError("radii must rise from 1 on, and parts be 1 or more")
    searches = [_Search(parts if not picture.is_real else 1) for picture in meeting.pictures]
    unit = STEPS * parts
    for eps, known in sorted((won or {}).items()):
        for search, is_won in zip(searches, known, strict=True):
            search.learn(eps * unit, is_won)
    ladder = [radius * parts for radius in radii]
    while True:
        asked: defaultdict[Fraction, list[int]] = defaultdict(list)
        for row, search in enumerate(searches):
            at = search.next(ladder)
            if at is not None:
                asked[at].append(row)
        if progress is not None:
            progress(len(searches) - sum(map(len, asked.values())))
        if not asked:
            break
        for at, rows in sorted(asked.items()):
            for row, trial in zip(
                rows, meeting.at(at / unit, rows, together=together), strict=True
            ):
                searches[row].learn(at, trial.won, trial)
    again: defaultdict[Fraction, list[int]] = defaultdict(list)
    for row, search in enumerate(searches):
        eps_of_row = search.won_at(unit)
        if eps_of_row is not None and search.trial is None:
            again[eps_of_row].append(row)
    for eps, rows in sorted(again.items()):
        for row, trial in zip(rows, meeting.at(eps, rows, together=together), strict=True):
            if not trial.won:
                raise PluginError(
                    f"attack '{meeting.attack.card.name}' won picture "
                    f"'{meeting.pictures[row].name}' at eps {eps}, and not once more: it must make "
                    "the same of a picture whatever it is attacked with"
                )
            searches[row].trial = trial
    return [Least(found.won_at(unit), found.trial) for found in searches]


class _Search:
    """Of one picture; radii are counted in parts of a step.

    Attributes:
        trial: of the least radius that was won, where it was made here.
    """

    trial: Trial | None = None

    def __init__(self, grain: int) -> None:
        """Know nothing.

        Args:
            grain: the parts between two radii that differ.
        """
        self._grain = grain
        self._won: Fraction | None = None
        self._lost = Fraction(0)

    def learn(self, at: Fraction, won: bool, trial: Trial | None = None) -> None:
        """What came of a radius; those that are beyond one that was won say nothing."""
        if self._won is not None and at >= self._won:
            return
        if won:
            self._won, self.trial = at, trial
        else:
            self._lost = max(self._lost, at)

    def next(self, ladder: Sequence[int]) -> Fraction | None:
        """The radius to ask for; `None` where the search is over."""
        if self._won is None:
            return next((Fraction(rung) for rung in ladder if rung > self._lost), None)
        low = math.floor(self._lost / self._grain)
        high = math.ceil(self._won / self._grain)
        if high - low <= 1:
            return None
        return Fraction((low + high) // 2 * self._grain)

    def won_at(self, unit: int) -> Fraction | None:
        """In `[0, 1]` pixels."""
        return None if self._won is None else self._won / unit
