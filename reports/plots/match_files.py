"""Plots of matches as PNG and SVG files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from matplotlib.figure import Figure

from hashbench.reports.matches.rows import Group, groups
from hashbench.reports.plots.files import Name, digest_of, names_of, slug_of, written
from hashbench.reports.plots.matches import changes_figure, collision_figure, evasion_figure
from hashbench.reports.plots.style import Theme
from hashbench.results.matches.results import MatchResults

KINDS: Final[Mapping[str, Callable[[Group, Theme], Figure | None]]] = {
    "evasion": evasion_figure,
    "collision": collision_figure,
    "innocent": changes_figure,
}
"""How each kind of picture of one set is drawn, by the end of its file's name."""


def match_plot_files(
    matches: MatchResults, theme: str = "light", *, transparent: bool = False, most: int = 0
) -> dict[str, bytes]:
    """Draw every set of pictures: evasion and collision over eps, innocent changes.

    Arguments, bounds and names as `plot_files`: `val2017-evasion.png`.
    """
    found = groups(matches)
    several = len({group.seed for group in found}) > 1
    names, draws = [], []
    for kind, how in KINDS.items():
        for group in found:
            words = [group.card.name if group.card is not None else group.pictures[:12]]
            words += [f"seed-{group.seed}"] if several else []
            digest = digest_of({"pictures": group.pictures, "seed": group.seed})
            names.append(Name(slug_of(words), digest, kind))
            draws.append(partial(how, group))
    return written(names_of(names), draws, theme, transparent=transparent, most=most, part="")
