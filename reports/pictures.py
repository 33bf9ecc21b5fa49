"""Report as pictures: every plot of the results, as PNG and as SVG."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from typing_extensions import override

from hashbench.plugins import Format, report_format
from hashbench.results.results import Results


@report_format("plots")
@dataclass(frozen=True)
class Plots(Format):
    """Bars of mAP, precision-recall curves, and mAP against eps, as PNG and SVG files."""

    @override
    def files(self, results: Results, *, width: int | None = None) -> Mapping[str, bytes]:
        # Here, since every format is imported when one is looked for, and matplotlib takes long.
        from hashbench.reports.plots.files import plot_files

        return plot_files(results)
