"""The figure of a page that shows between which values each model's true mAP lies. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from hashbench.reports.board.leaderboard import Leaderboard
from hashbench.reports.board.row import Row
from hashbench.reports.page.figures import Axis, Figure, percents, swatch
from hashbench.reports.page.numbers import Number, anchor, number, proven
from hashbench.reports.page.plots import MOST, MOST_ROWS, Plot, Plots, Series, Sign, model_anchor
from hashbench.reports.text.sentences import metric, one_line, title

MOST_BARS: Final = 16
"""Models of one figure; of more, those that stand first in the table."""


def between(boards: Sequence[Leaderboard], defenses: Series) -> Plots:
    """A figure per table with certificates: a bar from what is proven to the worst case."""
    found = [_between(board, defenses) for board in boards if board.has_certificates]
    return Plots(tuple(found[:MOST]), max(0, len(found) - MOST))


def _between(board: Leaderboard, defenses: Series) -> Plot:
    asked = [row for row in board.rows if row.certified is not None]
    rows = asked[:MOST_BARS]
    told = [_told(board, row) for row in asked[:MOST_ROWS]]
    said = "; ".join(
        f"{name}: proven {low}, worst case {high}, clean {clean}"
        for name, low, high, clean in told[:MOST_BARS]
    )
    measure = metric(board)
    ticks = tuple((float(place), str(place)) for place in range(1, len(rows) + 1))
    figure = Figure(
        anchor("f", "proven", *vars(board.group).values()),
        f"Proven and attacked mAP: {one_line(title(board))}",
        f"Up: {measure} in percent. A bar goes from what is proven to what the worst case leaves, "
        "and the true robust mAP lies inside, all as means over the orders of ties; the mark is "
        f"clean. {said}.",
        Axis("models, in the order of the table", 0.4, len(rows) + 0.6, ticks),
        percents("mAP (%)"),
    )
    if board.chance is not None:
        chance = 100 * board.chance
        figure.guide((0.4, chance), (len(rows) + 0.6, chance), "chance")
    for place, row in enumerate(rows, start=1):
        _bar(figure, board, row, place, defenses[row.defense])
    legend = tuple(
        Sign(swatch(defenses[row.defense]), f"{place}: {one_line(row.defense)}")
        for place, row in enumerate(rows, start=1)
    )
    header = ("model", "proven", "worst case", "clean")
    return Plot(one_line(title(board)), figure.svg(), legend, header, tuple(told))


def _bar(figure: Figure, board: Leaderboard, row: Row, place: int, series: int) -> None:
    low = None if row.certified is None else row.certified.least.mean
    worst, clean = row.worst_case.mean, row.clean.expected.mean
    high = worst if worst is not None else clean
    if low is not None and high is not None:
        figure.span(series, place, 100 * low, 100 * high)
    if clean is not None:
        words = "{}: proven {}, worst case {}, clean {}".format(*_told(board, row))
        link = model_anchor(board.group, row.defense)
        figure.point(series, place, 100 * clean, words, link)


def _told(board: Leaderboard, row: Row) -> tuple[str, str, str, str]:
    worst: Number = number(row.worst_case) if board.attacks else Number("not attacked")
    low = proven(row.certified, mean_order=True).spoken
    return (one_line(row.defense), low, worst.spoken, number(row.clean.expected).spoken)
