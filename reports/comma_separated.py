"""Report as CSV: every cell and metric, for programs. The same results give the same bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from typing_extensions import override

from hashbench.plugins import Format, report_format
from hashbench.reports.text.fields import field
from hashbench.reports.text.sentences import one_line
from hashbench.results.matches.results import MatchResults
from hashbench.results.results import Results

if TYPE_CHECKING:
    import pandas as pd

DIGITS = "%.9g"
"""How values are written: nine significant digits, far finer than mAP can be told apart."""


@report_format("csv")
@dataclass(frozen=True)
class CommaSeparated(Format):
    """One row per cell and metric, the rows of `Results.to_frame()`; or of `MatchResults`.

    Names and reasons are written so that no spreadsheet takes one for a formula.

    A cell without a result has one row with an empty value, its status and its reason.
    """

    suffix: ClassVar[str] = ".csv"

    @override
    def render(self, results: Results, *, width: int | None = None) -> str:
        return _written(results.to_frame())

    @override
    def render_matches(self, matches: MatchResults, *, width: int | None = None) -> str:
        return _written(matches.to_frame())


def _written(frame: pd.DataFrame) -> str:
    """A frame with a column of reasons as CSV; the frame is changed."""
    frame["reason"] = [one_line(str(reason)) for reason in frame["reason"]]
    for column in frame.select_dtypes(exclude="number").columns:
        texts = frame[column].astype(str)
        frame[column] = texts.map({text: field(text) for text in texts.unique()})
    text: str = frame.to_csv(index=False, float_format=DIGITS, lineterminator="\n")
    return text
