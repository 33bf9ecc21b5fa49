"""Report as pictures: every plot of the results, as PNG and as SVG."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from typing_extensions import override

from hashbench.errors import UsageError
from hashbench.plugins import Format, report_format
from hashbench.results.matches.results import MatchResults
from hashbench.results.results import Results

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Paper(StrEnum):
    """Which page the pictures are for."""

    LIGHT = "light"
    DARK = "dark"


@report_format("plots")
@dataclass(frozen=True)
class Plots(Format):
    """Bars of mAP, clean against robust, training, precision-recall, and mAP over eps.

    Each as a PNG and an SVG file, whose name says what it is of
    (`fashion-csq-small-cnn-32bits-eps-24-255-map.png`). An attack has the same colour in all. Of
    matches of fixed hashes: evasion and collision over eps, with what is proven, innocent changes.

    Attributes:
        theme: colours for a `light` page, white, or for a `dark` one.
        transparent: leave out the page behind the picture.
        most: how many pictures are drawn at most, the most telling ones first; what is left out is
            named in `not-drawn.txt`. 0 for all of them.
    """

    theme: Paper = Paper.LIGHT
    transparent: bool = False
    most: int = 24

    def __post_init__(self) -> None:
        if self.most < 0:
            raise UsageError(f"most must be 0 (all pictures) or more, found {self.most}")

    @override
    def files(self, results: Results, *, width: int | None = None) -> Mapping[str, bytes]:
        # Here, since every format is imported when one is looked for, and matplotlib takes long.
        from hashbench.reports.plots.files import plot_files

        return plot_files(results, self.theme, transparent=self.transparent, most=self.most)

    @override
    def match_files(
        self, matches: MatchResults, *, width: int | None = None
    ) -> Mapping[str, bytes]:
        from hashbench.reports.plots.match_files import match_plot_files

        return match_plot_files(matches, self.theme, transparent=self.transparent, most=self.most)

    @override
    def figure(self, results: Results, kind: str, choice: Mapping[str, object]) -> Figure:
        from hashbench.reports.plots.choice import chosen
        from hashbench.reports.plots.one import one_figure

        return one_figure(chosen(results, choice), kind, self.theme)
