"""The plots of a page: clean against robust, mAP over eps, robust mAP against training. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from hashbench.eps import Norm
from hashbench.reports.board.leaderboard import Group, Leaderboard
from hashbench.reports.board.over_seeds import Entry
from hashbench.reports.board.passes import training_passes
from hashbench.reports.board.radii import families
from hashbench.reports.board.row import Row
from hashbench.reports.page.figures import Axis, Figure, percents, swatch, thinned
from hashbench.reports.page.numbers import NOTHING, anchor, number
from hashbench.reports.text.sentences import heading as heading_of
from hashbench.reports.text.sentences import metric, one_line, title
from hashbench.results.cell import CLEAN

MOST: Final = 24
"""Figures of one kind in a page."""

MOST_ROWS: Final = 40
"""Rows of the table that tells a figure; the leaderboard has them all."""

POINTS: Final = 24
"""Points of one precision-recall curve."""


@dataclass(frozen=True)
class Sign:
    """One entry of a legend: the sign, drawn, and the name of its series."""

    drawn: str
    name: str


@dataclass(frozen=True)
class Plot:
    """One figure with what belongs to it.

    Attributes:
        heading: what it is of.
        svg: the figure.
        legend: its series.
        header, rows: the same as a table; without rows where the leaderboard tells it.
    """

    heading: str
    svg: str
    legend: tuple[Sign, ...]
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True)
class Plots:
    """The figures of one kind.

    Attributes:
        plots: as many as a page shows.
        left_out: how many more there would be.
    """

    plots: tuple[Plot, ...]
    left_out: int


NO_PLOTS: Final = Plots((), 0)
"""Where there is nothing of a kind."""


@dataclass(frozen=True)
class _Point:
    series: str
    across: float
    up: Entry
    words: str
    link: str


Series = Mapping[str, int]
"""The place of every name among the series: one name has one look in the whole page."""


def series_of(names: Iterable[str]) -> dict[str, int]:
    """Places in the order of the names."""
    return {name: place for place, name in enumerate(sorted(set(names)))}


def model_anchor(group: Group, defense: str) -> str:
    """The name of a model's section."""
    return anchor("m", *vars(group).values(), defense)


def clean_against_robust(boards: Sequence[Leaderboard], defenses: Series) -> Plots:
    """A figure per data set, measure and radius: what a defense costs and what it gives.

    One model alone makes no figure.
    """
    found: dict[tuple[str, str, str], list[tuple[Leaderboard, Row]]] = {}
    for board in boards:
        for row in board.rows:
            if row.clean.expected.mean is not None and row.worst_case.mean is not None:
                key = (board.group.dataset, metric(board), board.group.eps)
                found.setdefault(key, []).append((board, row))
    return _bounded(
        [
            _clean_against_robust(*place, pairs, defenses)
            for place, pairs in found.items()
            if len(pairs) > 1
        ]
    )


def _clean_against_robust(
    dataset: str,
    measure: str,
    eps: str,
    pairs: Sequence[tuple[Leaderboard, Row]],
    defenses: Series,
) -> Plot:
    points = [
        _Point(
            row.defense,
            100 * (row.clean.expected.mean or 0.0),
            row.worst_case,
            f"{_named(board, row)}: clean {number(row.clean.expected).text}",
            model_anchor(board.group, row.defense),
        )
        for board, row in pairs
    ]
    words = (
        f"{len(points)} models. Across: {measure} of clean queries, up: in the worst case over the "
        "attacks that count, both in percent. A model on the diagonal loses nothing."
    )
    figure = Figure(
        anchor("f", "robust", dataset, measure, eps),
        f"Clean against robust mAP on {one_line(dataset)} at eps {one_line(eps)}",
        words,
        percents("clean mAP (%)"),
        percents("worst case (%)"),
    )
    figure.guide((0, 0), (100, 100))
    if len({board.chance for board, _ in pairs}) == 1 and pairs[0][0].chance is not None:
        chance = 100 * pairs[0][0].chance
        figure.guide((0, chance), (100, chance), "chance")
    heading = f"{one_line(dataset)}, eps {one_line(eps)}"
    return _scattered(figure, heading, points, defenses, "clean")


def against_training(boards: Sequence[Leaderboard], defenses: Series) -> Plots:
    """A figure per data set, measure and radius: what longer training alone may give.

    Models whose training is not recorded are left out, and figures in which all trained alike.
    """
    found: dict[tuple[str, str, str], list[tuple[Leaderboard, Row, float]]] = {}
    for board in boards:
        for row in board.rows:
            passes = training_passes(row.defense, board.training)
            if passes is not None and row.worst_case.mean is not None:
                key = (board.group.dataset, metric(board), board.group.eps)
                found.setdefault(key, []).append((board, row, passes))
    return _bounded(
        [
            _against_training(*place, models, defenses)
            for place, models in found.items()
            if len({passes for _, _, passes in models}) > 1
        ]
    )


def _against_training(
    dataset: str,
    measure: str,
    eps: str,
    models: Sequence[tuple[Leaderboard, Row, float]],
    defenses: Series,
) -> Plot:
    points = [
        _Point(
            row.defense,
            passes,
            row.worst_case,
            f"{_named(board, row)}: {passes:,.0f} passes",
            model_anchor(board.group, row.defense),
        )
        for board, row, passes in models
    ]
    most = max(passes for _, _, passes in models)
    figure = Figure(
        anchor("f", "training", dataset, measure, eps),
        f"Robust mAP against training on {one_line(dataset)} at eps {one_line(eps)}",
        f"{len(points)} models. Across: passes over the train set that the training took, up: "
        f"{measure} in the worst case, in percent. More training can move a model more than a "
        "better method.",
        Axis("training, in passes over the train set", 0.0, most * 1.05, _round_ticks(most)),
        percents("worst case (%)"),
    )
    heading = f"{one_line(dataset)}, eps {one_line(eps)}"
    return _scattered(figure, heading, points, defenses, "passes")


def over_eps(boards: Sequence[Leaderboard], defenses: Series) -> Plots:
    """A figure per group and norm with more than one radius: worst cases over eps, clean at 0."""
    found = []
    for together in families(boards).values():
        radii = [board for board in together if board.attacked]
        if len({board.group.radius for board in radii}) > 1:
            found.append(_over_eps(radii, defenses))
    return _bounded(found)


def _over_eps(boards: Sequence[Leaderboard], defenses: Series) -> Plot:
    measure, norm = metric(boards[0]), boards[0].group.radius.norm
    heading = title(boards[0]).rpartition(", eps ")[0] or title(boards[0])
    if norm is not Norm.LINF:
        heading += f", {norm.words}"
    values: dict[str, list[tuple[Leaderboard, Entry]]] = {}
    for board in boards:
        for row in board.rows:
            at = values.setdefault(row.defense, [])
            if not at and row.clean.expected.mean is not None and board.group.radius.fraction > 0:
                at.append((replace(board, group=replace(board.group, eps="0")), row.clean.expected))
            if row.worst_case.mean is not None:
                at.append((board, row.worst_case))
    names = [name for name in sorted(values) if values[name]]
    scale = 255 if norm is Norm.LINF else 1
    most = scale * max(float(board.group.radius) for board in boards)
    ticks = _apart([(scale * float(b.group.radius), _tick(b.group.eps)) for b in boards], most)
    said = "; ".join(
        f"{one_line(name)}: "
        + ", ".join(f"{_eps(b.group.eps)}: {number(e).text}" for b, e in values[name])
        for name in names[:MOST_ROWS]
    )
    figure = Figure(
        anchor("f", "eps", *vars(replace(boards[0].group, eps=_family(norm))).values()),
        f"mAP over eps: {heading}",
        f"Across: the radius eps; up: {measure} in the worst case, in percent. {said}.",
        Axis(f"eps ({norm.words})", 0.0, most * 1.02, ticks),
        percents("worst case (%)"),
    )
    if boards[0].chance is not None:
        chance = 100 * boards[0].chance
        figure.guide((0, chance), (most * 1.02, chance), "chance")
    for name in names:
        place = defenses[name]
        points = [(scale * float(b.group.radius), 100 * (e.mean or 0.0)) for b, e in values[name]]
        figure.line(place, points)
        for (x, y), (board, entry) in zip(points, values[name], strict=True):
            _whisker(figure, place, x, entry)
            words = f"{one_line(name)}, eps {_eps(board.group.eps)}: {number(entry).spoken}"
            figure.point(place, x, y, words)
    heads = dict.fromkeys(heading_of(b.group.eps) for n in names for b, _ in values[n])
    header = ("defense", *heads)
    rows = []
    for name in names[:MOST_ROWS]:
        said_at = {heading_of(b.group.eps): number(e).spoken for b, e in values[name]}
        rows.append((one_line(name), *(said_at.get(eps, NOTHING) for eps in header[1:])))
    legend = tuple(Sign(swatch(defenses[n], line=True), one_line(n)) for n in names)
    return Plot(heading, figure.svg(), legend, header, tuple(rows))


def curves(board: Leaderboard, row: Row, attacks: Series) -> Plot | None:
    """The precision-recall curves of a model, clean and under attack; `None` where none is known.

    Several seeds with the same levels of recall by their mean, others by the first seed.
    """
    found: dict[str, list[tuple[float, float]]] = {}
    for name in (CLEAN, *board.attacks):
        of_seeds = row.curves.get(name, ())
        if not of_seeds:
            continue
        alike = [curve for curve in of_seeds if curve.recall == of_seeds[0].recall]
        heights = zip(*(curve.precision for curve in alike), strict=True)
        means = [sum(at) / len(alike) for at in heights]
        found[name] = list(zip(of_seeds[0].recall, means, strict=True))
    if not found:
        return None
    told = {name: thinned(points, POINTS) for name, points in found.items()}
    said = "; ".join(
        f"{_attack(name)}: "
        + ", ".join(f"{100 * p:.0f} at {100 * r:.0f}" for r, p in thinned(points, 3))
        for name, points in told.items()
    )
    figure = _curve_figure(
        f"{model_anchor(board.group, row.defense)}-pr",
        f"Precision over recall: {one_line(row.defense)}",
        f"Precision at levels of recall, in percent: {said}.",
    )
    if board.chance is not None:
        figure.guide((0, 100 * board.chance), (100, 100 * board.chance), "chance")
    for name, points in told.items():
        figure.line(attacks[name], [(100 * r, 100 * p) for r, p in points])
        if len(points) == 1:
            ((r, p),) = points
            figure.point(attacks[name], 100 * r, 100 * p, _attack(name))
    legend = tuple(
        Sign(swatch(attacks[name], line=True, marked=False), _attack(name)) for name in told
    )
    return Plot("Precision over recall", figure.svg(), legend, ())


def shared_axes() -> str:
    """What the figures of `curves` refer to, for the page to hold once."""
    return _curve_figure("", "", "").axes()


def _curve_figure(name: str, heading: str, words: str) -> Figure:
    return Figure(
        name,
        heading,
        words,
        percents("recall (%)", 25),
        percents("precision (%)", 25),
        width=420,
        height=290,
        shared="pr-axes",
    )


def _attack(name: str) -> str:
    return "clean" if name == CLEAN else one_line(name)


def _scattered(
    figure: Figure, heading: str, points: Sequence[_Point], defenses: Series, across: str
) -> Plot:
    for point in points:
        _whisker(figure, defenses[point.series], point.across, point.up)
    for point in points:
        value = number(point.up)
        words = f"{point.words}, worst case {value.spoken}"
        mean = 100 * (point.up.mean or 0.0)
        figure.point(defenses[point.series], point.across, mean, words, point.link)
    names = sorted({point.series for point in points})
    legend = tuple(Sign(swatch(defenses[name]), one_line(name)) for name in names)
    rows = [
        (point.words.partition(": ")[0], f"{point.across:,.1f}", number(point.up).spoken)
        for point in points
    ]
    shown = tuple(rows) if len(rows) <= MOST_ROWS else ()
    return Plot(heading, figure.svg(), legend, ("model", across, "worst case"), shown)


def _whisker(figure: Figure, place: int, x: float, entry: Entry) -> None:
    if entry.interval is not None:
        figure.whisker(place, x, 100 * entry.interval.low, 100 * entry.interval.high)


def _named(board: Leaderboard, row: Row) -> str:
    group = board.group
    setting = f"{group.loss}, {group.backbone}, {group.bits} bits, eps {group.eps}"
    return one_line(f"{row.defense} ({setting})")


def _eps(written: str) -> str:
    return one_line(written)


def _tick(written: str) -> str:
    """A radius on an axis that says its norm."""
    return _eps(written).rpartition(":")[2]


def _family(norm: Norm) -> str:
    """What stands for the radius in the name of a figure of several: nothing for L-infinity."""
    return "" if norm is Norm.LINF else norm.value


def _bounded(found: Sequence[Plot]) -> Plots:
    return Plots(tuple(found[:MOST]), max(0, len(found) - MOST))


def _apart(ticks: Iterable[tuple[float, str]], most: float) -> tuple[tuple[float, str], ...]:
    """Ticks from 0 on that do not touch each other: at least a twelfth of the axis apart."""
    found = [(0.0, "0")]
    wanted = sorted(set(ticks))
    for value, words in wanted:
        if value - found[-1][0] >= most / 12:
            found.append((value, words))
    last = wanted[-1]
    if found[-1][0] != last[0] and len(found) > 1:
        found[-1] = last
    return tuple(found)


def _round_ticks(most: float) -> tuple[tuple[float, str], ...]:
    """About five round values from 0 to at most `most`."""
    return tuple((value, f"{value:,.0f}") for value in _rounds(most))


def _rounds(most: float) -> Iterator[float]:
    steps = (m * 10**e for e in range(9) for m in (1, 2, 5))
    step = next((step for step in steps if most / step <= 6), most)
    value = 0.0
    while value <= most:
        yield value
        value += step
