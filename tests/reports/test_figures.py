"""What is in the figures: ticks, digits, whiskers, legends, points, bounds; and `Results.plot`."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import combinations
from typing import Any

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.text import Text

import hashbench
from hashbench import plugins
from hashbench.eps import Eps
from hashbench.reports.board.leaderboard import Leaderboard, leaderboards
from hashbench.reports.board.over_seeds import Entry
from hashbench.reports.board.passes import BOXED, TRAINED, UNTRAINED, training_passes
from hashbench.reports.plots.bounds import MOST_ATTACKS, MOST_BARS, MOST_MODELS
from hashbench.reports.plots.curves import curves_figure
from hashbench.reports.plots.eps import eps_figure
from hashbench.reports.plots.files import plot_files
from hashbench.reports.plots.legend import Legend, by_rows
from hashbench.reports.plots.looks import attack_looks
from hashbench.reports.plots.map import map_figure
from hashbench.reports.plots.panels import grid_for, radius_ticks
from hashbench.reports.plots.scatter import clean_robust_figure, training_figure
from hashbench.reports.plots.style import paper_style
from hashbench.results.intervals import Interval

KINDS = ("map", "eps", "curves", "clean-robust", "training")


@pytest.fixture(autouse=True)
def _style() -> Iterator[None]:
    with paper_style():
        yield


def labels_of(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def there(figure: Figure | None) -> Figure:
    assert figure is not None
    return figure


@pytest.mark.parametrize(
    ("largest", "labels"),
    [
        ("32/255", ["0", "8/255", "16/255", "24/255", "32/255"]),
        ("24/255", ["0", "8/255", "16/255", "24/255"]),
        ("8/255", ["0", "2/255", "4/255", "6/255", "8/255"]),
        ("1/255", ["0", "1/255"]),
        ("3/255", ["0", "1/255", "2/255", "3/255"]),
        ("1/1000", ["0", "0.001"]),
        ("1", ["0", "64/255", "128/255", "192/255"]),
        ("0", ["0"]),
    ],
)
def test_few_ticks_of_a_radius(largest: str, labels: list[str]) -> None:
    places, said = radius_ticks(Eps.parse(largest))
    assert said == labels
    assert len(set(places)) == len(places)
    if "/" in "".join(said):
        assert places == [float(Fraction(label)) for label in said]


def sweep(book: Any, radii: tuple[str, ...]) -> tuple[Leaderboard, ...]:
    for defense in ("none", "cgat"):
        book.clean(defense, 0.7)
        for eps in radii:
            for attack in ("hag", "sdha", "auto", "pgd-hamming"):
                book.attacked(defense, attack, 0.3, eps=eps)
    return leaderboards(book.results())


def test_a_sweep_from_0_has_one_tick_there_and_no_label_is_turned(book: Any) -> None:
    boards = sweep(book, ("0", *(f"{n}/255" for n in range(2, 34, 2))))
    figure = there(eps_figure(boards))
    figure.canvas.draw()
    panels = [axes for axes in figure.axes if axes.axison]
    assert panels[0].get_title(loc="left") == "worst case"
    for axes in panels:
        shown = [label for label in axes.get_xticklabels() if label.get_visible()]
        assert [label.get_text() for label in shown] == [
            "0", "8/255", "16/255", "24/255", "32/255",
        ]  # fmt: skip
        assert {label.get_rotation() for label in shown} == {0}
        assert axes.xaxis.get_tick_params()["labelbottom"]
    # Five panels and the legend fill two rows of three.
    (free,) = [axes for axes in figure.axes if not axes.axison]
    assert free.get_legend() is not None
    assert not figure.legends


@pytest.mark.parametrize("panels", range(1, 30))
@pytest.mark.parametrize("names", [["a"], ["a" * 60] * 20])
def test_a_grid_has_no_empty_place(panels: int, names: list[str]) -> None:
    legend = Legend([Patch(label=name) for name in names], 7.0)
    grid = grid_for(panels, legend, (2.35, 2.25))
    assert sum(grid.rows) == panels
    assert grid.columns <= 3
    if grid.legend_inside:
        assert sum(grid.columns - count for count in grid.rows) == 1
        assert len(names) == 1
    else:
        assert max(grid.rows) - min(grid.rows) <= 1  # rows are as wide as the figure


@pytest.mark.parametrize("count", range(1, 14))
@pytest.mark.parametrize("columns", range(1, 8))
def test_a_legend_is_read_by_rows(count: int, columns: int) -> None:
    handles = [Line2D([], [], label=str(place)) for place in range(count)]
    columns = min(columns, count)
    figure = Figure()
    legend = figure.legend(handles=by_rows(handles, columns), ncols=columns)
    figure.draw_without_rendering()
    texts = sorted(
        legend.get_texts(),
        key=lambda text: (-round(text.get_window_extent().y0), text.get_window_extent().x0),
    )
    assert [text.get_text() for text in texts] == [str(place) for place in range(count)]


def test_the_legend_of_bars_has_their_order(quick: Any) -> None:
    (board,) = leaderboards(quick.results())
    figure = map_figure(board)
    legend = figure.legends[0]
    figure.canvas.draw()
    texts = sorted(
        legend.get_texts(),
        key=lambda text: (-round(text.get_window_extent().y0), text.get_window_extent().x0),
    )
    assert [text.get_text() for text in texts] == [
        "clean", *board.attacks, "worst case", "chance", "floor",
    ]  # fmt: skip


def numbers(figure: Figure) -> list[str]:
    said = [text.get_text() for text in figure.axes[0].texts]
    return [text for text in said if text[:1].isdigit()]


def test_values_that_would_read_alike_have_a_digit_more(book: Any) -> None:
    book.clean("none", 0.7).attacked("none", "auto", 0.4981).attacked("none", "smooth-ap", 0.4969)
    (board,) = leaderboards(book.results())
    assert numbers(map_figure(board)) == ["70.0", "49.8", "49.7", "49.7"]
    whole = replace(book, cells=[])
    whole.clean("none", 0.7).attacked("none", "auto", 0.5).attacked("none", "smooth-ap", 0.5)
    (board,) = leaderboards(whole.results())
    assert numbers(map_figure(board)) == ["70", "50", "50", "50"]


def test_colours_are_the_same_in_all_figures_and_runs(quick: Any, new_book: Any) -> None:
    other = new_book().clean("none", 0.7).attacked("none", "sdha", 0.2)
    other.attacked("none", "zz-mine", 0.3).attacked("none", "hag", 0.3)
    wanted = attack_looks(["hag"])["hag"].color
    for book in (quick, other):
        (board,) = leaderboards(book.results())
        bars = map_figure(board).legends[0]
        faces = {
            text.get_text(): to_hex(patch.get_facecolor())
            for text, patch in zip(bars.get_texts(), bars.legend_handles, strict=True)
            if isinstance(patch, Patch)
        }
        lines = {
            str(line.get_label()): to_hex(line.get_color())
            for line in there(curves_figure(board)).axes[0].lines
        }
        assert faces["hag"] == lines["hag"] == wanted


def test_every_series_of_bars_has_a_hatch_of_its_own(quick: Any) -> None:
    (board,) = leaderboards(quick.results())
    series = map_figure(board).axes[0].patches
    hatches = [bar.get_hatch() or "" for bar in series]
    assert len(set(hatches)) == len(board.attacks) + 1  # clean and the control are plain
    assert hatches.count("") == 2 * len(board.rows)


def test_curves_that_coincide_are_all_seen(book: Any) -> None:
    attacks = ("auto", "smooth-ap", "hag", "sdha", "pgd-hamming", "mainstay", "noise")
    book.clean("none", 0.5)
    for attack in attacks:
        book.attacked("none", attack, 0.5)
    (board,) = leaderboards(book.results())
    axes = there(curves_figure(board)).axes[0]
    lines: list[Any] = [line for line in axes.lines if str(line.get_label())[:1] != "_"]
    assert len(lines) == 8
    widths = [line.get_linewidth() for line in lines]
    assert widths == sorted(set(widths), reverse=True)  # the wider below the thinner
    assert len({str(line._unscaled_dash_pattern) for line in lines}) == 8
    assert len({to_hex(line.get_color()) for line in lines}) == 8
    marked = [set(range(line.get_markevery()[0], 10, line.get_markevery()[1])) for line in lines]
    for one, two in combinations(marked, 2):
        assert not one & two
    assert list(axes.get_xticks()) == list(axes.get_yticks()) == [0, 0.2, 0.4, 0.6, 0.8, 1]
    assert [t.get_text() for t in axes.get_xticklabels()] == [
        t.get_text() for t in axes.get_yticklabels()
    ]
    assert any(set(np.asarray(line.get_ydata())) == {0.1} for line in axes.lines)  # chance


def with_intervals(board: Leaderboard) -> Leaderboard:
    """Every number of the table with bounds of 5 points below and 3 above."""

    def bounded(entry: Entry) -> Entry:
        mean = entry.mean
        return replace(entry, interval=None if mean is None else Interval(mean - 0.05, mean + 0.03))

    rows = [
        replace(
            row,
            clean=replace(row.clean, expected=bounded(row.clean.expected)),
            attacked=tuple(replace(s, expected=bounded(s.expected)) for s in row.attacked),
            worst_case=bounded(row.worst_case),
        )
        for row in board.rows
    ]
    return replace(board, rows=tuple(rows))


def test_one_seed_has_intervals_and_several_have_their_deviation(book: Any) -> None:
    boards = [with_intervals(board) for board in sweep(book, ("8/255", "24/255"))]
    figure = map_figure(boards[0])
    assert "(whiskers: 95 % interval over queries)" in figure.axes[0].get_title(loc="left")
    whiskers: list[Any] = list(figure.axes[0].collections)
    ends = {
        (round(float(low), 6), round(float(high), 6))
        for one in whiskers
        for (_, low), (_, high) in one.get_segments()
    }
    assert ends == {(65.0, 73.0), (25.0, 33.0)}
    bands = there(eps_figure(boards))
    assert "(bands: 95 % interval over queries)" in bands.get_suptitle()
    (low, high) = bands.axes[0].collections[0].get_datalim(bands.axes[0].transData).intervaly
    assert (round(float(low), 6), round(float(high), 6)) == (25.0, 73.0)
    for defense in ("none", "cgat"):
        book.clean(defense, 0.72, 1)
        for eps in ("8/255", "24/255"):
            for attack in ("hag", "sdha", "auto", "pgd-hamming"):
                book.attacked(defense, attack, 0.32, 1, eps=eps)
    boards = [with_intervals(board) for board in leaderboards(book.results())]
    said = map_figure(boards[0]).axes[0].get_title(loc="left")
    assert "(mean and standard deviation of 2 seeds)" in said
    assert "interval" not in said


def test_points_are_where_the_values_are_and_names_do_not_meet(rich_book: Any) -> None:
    for place in range(12):
        rich_book.clean(f"near-{place}:epochs=3", 0.70 + place / 1000)
        for attack in ("noise", "hag", "pgd-hamming:steps=20", "sdha"):
            rich_book.attacked(f"near-{place}:epochs=3", attack, 0.3 + place / 1000)
    board = leaderboards(rich_book.results())[-1]
    for draw in (clean_robust_figure, training_figure):
        figure = there(draw(board))
        axes = figure.axes[0]
        figure.canvas.draw()
        drawn = {
            (
                round(float(np.asarray(line.get_xdata())[0]), 9),
                round(float(np.asarray(line.get_ydata())[0]), 9),
            )
            for line in axes.lines
            if len(np.asarray(line.get_xdata())) == 1 and line.get_marker() not in ("|", "_")
        }
        rows = [row for row in board.rows if row.worst_case.mean is not None]
        if draw is clean_robust_figure:
            assert drawn == {
                (
                    round(100 * (row.clean.expected.mean or 0), 9),
                    round(100 * (row.worst_case.mean or 0), 9),
                )
                for row in rows
            }
        boxes = [Text.get_window_extent(text) for text in axes.texts]
        assert boxes
        inside = axes.get_window_extent().padded(1)
        for box in boxes:
            assert inside.contains(box.x0, box.y0)
            assert inside.contains(box.x1, box.y1)
        for one, two in combinations(boxes, 2):
            assert not one.overlaps(two)


def test_passes_are_what_the_defenses_count() -> None:
    """Held to the defenses themselves: epochs times passes of the granted budget."""
    from hashbench.defending import Budget
    from hashbench.eps import Eps

    training = {
        "base": {"epochs": 24},
        "budget": {"epochs": 12, "inner_steps": 7, "eps": "8/85"},
    }
    budget = Budget(epochs=12, inner_steps=7, eps=Eps.parse("24/255"))
    entries = plugins.registry(plugins.Kind.DEFENSE).entries
    ours = {
        name
        for (kind, name), found in entries.items()
        if kind is plugins.Kind.DEFENSE and found[0].origin.source == "hashbench"
    }
    assert ours == TRAINED | UNTRAINED | set(BOXED)
    told = ("", ":epochs=30", ":inner_steps=3", ":epochs=5,inner_steps=14", ":epochs=0")
    for name in TRAINED:
        for words in told:
            defense: Any = plugins.get("defense", name + words)
            expected = 24 + defense.recipe(budget).epochs * defense.passes(budget)
            assert training_passes(name + words, training) == expected
    for name in BOXED:
        for words in ("", ":epochs=30", ":epochs=0,batch=8"):
            boxed: Any = plugins.get("defense", name + words)
            expected = 24 + boxed.recipe(budget).epochs * boxed.passes(budget)
            assert training_passes(name + words, training) == expected
    for name in UNTRAINED:
        assert not hasattr(plugins.get("defense", name), "recipe")
        assert training_passes(name, training) == 24
    assert training_passes("somebody-elses", training) is None
    for elsewhere in ({}, {"base": {"imported": "ab"}}, {"base": {"epochs": True}}, {"base": 3}):
        assert training_passes("cgat", elsewhere) is None
    assert training_passes("cgat", {"base": {"epochs": 24}}) is None
    assert training_passes("cgat:epochs=many", training) is None


def test_a_model_of_unknown_training_is_left_out_and_named(quick: Any) -> None:
    for attack in ("noise", "hag", "sdha", "pgd-hamming"):
        quick.attacked("theirs", attack, 0.3)
    quick.clean("theirs", 0.7)
    (board,) = leaderboards(quick.results())
    figure = there(training_figure(board))
    assert "not recorded, left out: theirs" in figure.axes[0].get_title(loc="left")
    assert "theirs" not in labels_of(figure)
    nothing = replace(board, training={})
    assert training_figure(nothing) is None


def test_what_is_too_much_for_a_figure_is_left_out_and_said(book: Any) -> None:
    for place in range(40):
        book.clean(f"cgat:epochs={place}", 0.7)
        for attack in range(20):
            for eps in ("8/255", "24/255"):
                book.attacked(f"cgat:epochs={place}", f"hag:steps={attack}", 0.3, eps=eps)
        for eps in ("8/255", "24/255"):
            book.attacked(f"cgat:epochs={place}", "noise", 0.69, eps=eps)
    boards = leaderboards(book.results())
    bars = map_figure(boards[-1])
    assert 0 < len(bars.axes[0].patches) <= MOST_BARS
    said = " ".join(bars.axes[0].get_title(loc="left").split())
    assert "Drawn: the first 5 of 40 models, the 11 strongest of 21 attacks; the tables" in said
    assert "noise" in labels_of(bars)
    curves = there(curves_figure(boards[-1]))
    assert len([axes for axes in curves.axes if axes.axison]) == MOST_MODELS
    lines = there(eps_figure(boards))
    assert len([axes for axes in lines.axes if axes.axison]) == MOST_ATTACKS + 1
    files = plot_files(book.results(), most=3)
    assert sorted(files)[-1] == "not-drawn.txt"
    assert len(files) == 2 * 3 + 1
    left = files["not-drawn.txt"].decode()
    assert "fashion-csq-small-cnn-32bits-eps-24-255-precision-recall\n" in left
    every = plot_files(book.results())
    assert {name[:-4] for name in every} == {
        *(name[:-4] for name in files if name != "not-drawn.txt"),
        *left[left.index("\n\n") + 2 :].split(),
    }


def test_names_are_known_beforehand_and_clash_with_nothing(quick: Any, new_book: Any) -> None:
    names = set(plot_files(quick.results()))
    assert "fashion-csq-small-cnn-32bits-eps-24-255-map.png" in names
    other = new_book(classes=20).clean("none", 0.7).attacked("none", "hag", 0.3)
    both = set(plot_files(quick.results(other)))
    assert not names & both  # neither has the name that would be the other's as well
    assert len([name for name in both if name.endswith("-map.png")]) == 2
    odd = [new_book(dataset=text) for text in ("../a", "A", "a", "\u65e5\u672c", "x" * 300, "con")]
    for book in odd:
        book.clean("none", 0.7).attacked("none", "hag", 0.3)
    files = plot_files(odd[0].results(*odd[1:]))
    assert len({name.lower() for name in files}) == len(files)
    for name in files:
        assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-.")
        assert len(name) < 130
        assert name.count(".") == 1
        assert name[0] not in ".-"


def test_themes_differ_in_colours_alone(quick: Any) -> None:
    light = plot_files(quick.results())
    dark = plot_files(quick.results(), "dark")
    clear = plot_files(quick.results(), transparent=True)
    assert set(light) == set(dark) == set(clear)
    name = "fashion-csq-small-cnn-32bits-eps-24-255-map.svg"
    assert b"fill: #14171a" in dark[name]
    assert b"fill: #14171a" not in light[name]
    assert len({light[name], dark[name], clear[name]}) == 3


def test_plot_gives_every_kind_and_leaves_pyplot_alone(rich_book: Any) -> None:
    results = rich_book.results()
    for kind in KINDS:
        figure = results.plot(kind, eps=None if kind == "eps" else 24 / 255)
        assert isinstance(figure, Figure)
        assert figure._repr_png_()[:4] == b"\x89PNG"  # type: ignore[attr-defined]
        with matplotlib.rc_context({"font.size": 30, "savefig.facecolor": "pink"}):
            again = results.plot(kind, eps=None if kind == "eps" else "24/255")
            assert again._repr_png_() == figure._repr_png_()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("kind", "choice", "said"),
    [
        ("mpa", {}, "there is no kind of plot 'mpa'; did you mean 'map'?"),
        ("map", {}, "hold 5 tables, and a plot of kind 'map' is of one: choose by eps='2/255' or"),
        ("map", {"epss": 3}, "a plot is not chosen by 'epss'; did you mean 'eps'?"),
        ("map", {"eps": "3/255"}, "these results hold no eps '3/255'"),
        ("map", {"bits": [32, 64]}, "these results hold no bits '64'; known: 32"),
        ("eps", {"eps": "8/255"}, "nothing to draw as 'eps': it needs the same models attacked at"),
        ("map", {"eps": "8/255", "training": "f"}, "no training 'f'"),
        ("map", {"theme": "drak"}, "did you mean 'dark'?"),
        ("training", {"eps": "8/255", "defense": "flat"}, "fewer than two models"),
    ],
)
def test_plot_says_what_is_wrong(rich_book: Any, kind: str, choice: Any, said: str) -> None:
    with pytest.raises(hashbench.UsageError) as raised:
        rich_book.results().plot(kind, **choice)
    assert said in str(raised.value)


def test_tables_that_differ_in_a_hash_are_chosen_by_its_digits(quick: Any, new_book: Any) -> None:
    other = new_book(training="8" * 64).clean("none", 0.7).attacked("none", "hag", 0.3)
    results = quick.results(other)
    with pytest.raises(hashbench.UsageError, match="choose by training='777777777777' or '8888"):
        results.plot()
    assert isinstance(results.plot(training="888888888888"), Figure)


def test_nothing_at_all_is_said(new_book: Any) -> None:
    with pytest.raises(hashbench.UsageError, match="hold no cell"):
        new_book().results().plot()


def test_a_format_without_pictures_says_so(quick: Any) -> None:
    form = plugins.get("format", "csv")
    assert isinstance(form, plugins.Format)
    with pytest.raises(hashbench.UsageError, match="format 'csv' draws no figures"):
        form.figure(quick.results(), "map", {})


def test_importing_results_imports_no_matplotlib() -> None:
    program = "import hashbench.results, sys; assert 'matplotlib' not in sys.modules"
    subprocess.run([sys.executable, "-P", "-c", program], check=True)
