"""One figure of results, by its kind: what `Results.plot` returns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Final

from matplotlib.figure import Figure

from hashbench.characters import shortened
from hashbench.errors import UsageError
from hashbench.reports.board.leaderboard import Group, Leaderboard, leaderboards
from hashbench.reports.board.radii import families
from hashbench.reports.plots.files import OVER_RADII, draw
from hashbench.results.results import Results
from hashbench.suggestions import did_you_mean

KINDS: Final[Mapping[str, str]] = {
    "map": "map",
    "eps": "eps",
    "curves": "precision-recall",
    "clean-robust": "clean-robust",
    "training": "training",
    "certified": "certified",
    "certified-eps": "certified-eps",
}
"""What people ask for, and the end of the file's name of such a picture."""

_NOTHING: Final = {
    "eps": "it needs the same models attacked at two radii or more",
    "curves": "no cell has a precision-recall curve",
    "clean-robust": "no model has both a clean value and a worst case",
    "certified": "nobody asked for a certificate",
    "certified-eps": "it needs certificates of the same models at two radii or more",
    "training": "fewer than two models have a worst case and a training that is recorded",
}
_MOST_SAID: Final = 8
_HASH: Final = 12


def one_figure(results: Results, kind: str, theme: str = "light") -> Figure:
    """The figure of a kind.

    Args:
        results: they hold one table, or for `eps` and `certified-eps` tables that differ in the
            radius alone, of one norm.
        kind: one of `KINDS`.
        theme: `light` or `dark`.

    Raises:
        UsageError: there is no such kind; the results hold no table or several, which are named;
            or nothing of the kind can be drawn of them.
    """
    if kind not in KINDS:
        known = did_you_mean(kind, KINDS)
        raise UsageError(f"there is no kind of plot '{shortened(kind)}'{known}")
    boards = leaderboards(results)
    members: Sequence[Leaderboard]
    if kind in OVER_RADII:
        found = families(boards)
        _refuse_several(kind, list(dict.fromkeys(group for group, _ in found)), len(boards))
        if len(found) > 1:
            raise UsageError(
                "these results hold radii of two norms, and an axis has one: choose by "
                + " or ".join(f"eps={[b.group.eps for b in several]}" for several in found.values())
            )
        members = next(iter(found.values()))
    else:
        _refuse_several(kind, [board.group for board in boards], len(boards))
        members = boards
    figure = draw(KINDS[kind], members, theme)
    if figure is None:
        raise UsageError(f"there is nothing to draw as '{kind}': {_NOTHING[kind]}")
    return figure


def _refuse_several(kind: str, groups: Sequence[Group], boards: int) -> None:
    """Name the choices where there is not one table alone.

    Raises:
        UsageError: there is none, or there are several.
    """
    if not boards:
        raise UsageError("these results hold no cell, so there is nothing to draw")
    if len(groups) == 1:
        return
    said = []
    for one in fields(Group):
        values = list(dict.fromkeys(getattr(group, one.name) for group in groups))
        if len(values) > 1:
            said.append(f"{one.name}={_listed(values)}")
    raise UsageError(
        f"these results hold {len(groups)} tables, and a plot of kind '{kind}' is of one: choose "
        f"by {'; '.join(said)}"
    )


def _listed(values: Iterable[object]) -> str:
    texts = [
        str(value) if isinstance(value, int) else repr(shortened(_brief(str(value))))
        for value in values
    ]
    rest = f" or {len(texts) - _MOST_SAID} more" if len(texts) > _MOST_SAID else ""
    return f"{' or '.join(texts[:_MOST_SAID])}{rest}"


def _brief(text: str) -> str:
    """A hash by its first digits, which choose it as well."""
    return text[:_HASH] if len(text) == 64 and set(text) <= set("0123456789abcdef") else text
