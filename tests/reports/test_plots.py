"""Plots: the files that are written, the numbers that are drawn, and that nothing overlaps."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.lines import Line2D
from matplotlib.transforms import Bbox

from hashbench import plugins
from hashbench.reports.board.leaderboard import leaderboards
from hashbench.reports.plots.curves import curves_figure
from hashbench.reports.plots.eps import eps_figure
from hashbench.reports.plots.map import map_figure
from hashbench.reports.plots.style import paper_style
from hashbench.results.load import load_results
from hashbench.results.results import Results


@pytest.fixture
def style() -> Iterator[None]:
    with paper_style():
        yield


def plots(results: Results) -> dict[str, bytes]:
    """The files of the format `plots`."""
    form = plugins.get("format", "plots")
    assert isinstance(form, plugins.Format)
    return dict(form.files(results))


def png_size(content: bytes) -> tuple[int, int]:
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", content[16:24])
    return int(width), int(height)


def words(svg: bytes) -> str:
    return " ".join("".join(ElementTree.fromstring(svg).itertext()).split())  # noqa: S314 - ours


def figures(book: Any) -> list[Figure]:
    boards = leaderboards(book.results())
    drawn = [map_figure(boards[-1]), curves_figure(boards[-1]), eps_figure(boards)]
    return [figure for figure in drawn if figure is not None]


def test_one_set_of_files_per_leaderboard_and_one_over_eps(rich_book: Any) -> None:
    rich_book.cells = [c for c in rich_book.cells if c.cell.eps in ("0", "8/255", "24/255")]
    files = plots(rich_book.results())
    kinds = [name.rpartition("-")[2] for name in files]
    assert {kind: kinds.count(kind) for kind in kinds} == {
        "map.png": 2,
        "map.svg": 2,
        "recall.png": 2,
        "recall.svg": 2,
        "robust.png": 2,
        "robust.svg": 2,
        "training.png": 2,
        "training.svg": 2,
        "eps.png": 1,
        "eps.svg": 1,
    }
    for name, content in files.items():
        assert name.startswith("fashion-csq-small-cnn-32bits-")
        if name.endswith(".png"):
            width, height = png_size(content)
            assert 800 <= width <= 4000
            assert 500 <= height <= 4000
            assert np.mean(imread(io.BytesIO(content))[..., :3] < 0.9) > 0.01
        else:
            text = words(content)
            assert "fashion, csq, small-cnn, 32 bits" in text
            for word in ("none", "atrdh", "flat", "inner_steps=14"):
                assert word in text
            if "robust" not in name and "training" not in name:
                for word in ("hag", "sdha", "noise"):
                    assert word in text


def test_bytes_are_the_same_twice_and_hold_no_date(quick: Any) -> None:
    first = plots(quick.results())
    with matplotlib.rc_context({"font.size": 20, "axes.grid": False}):  # a user's own style
        second = plots(quick.results())
    assert first == second
    for content in first.values():
        assert b"dc:date" not in content
        assert b"tEXtSoftware" not in content


def test_two_protocols_have_two_sets_of_files(new_book: Any) -> None:
    books = [new_book(), new_book(classes=20)]
    for book in books:
        book.clean("none", 0.7).attacked("none", "hag", 0.3)
    assert len(plots(books[0].results(books[1]))) == 12


def test_one_eps_has_no_plot_over_eps(quick: Any) -> None:
    assert not [name for name in plots(quick.results()) if "-eps." in name]


def test_settings_of_the_user_are_left_alone(quick: Any) -> None:
    with matplotlib.rc_context({"font.size": 21.5}):
        plots(quick.results())
        assert matplotlib.rcParams["font.size"] == 21.5


def places_of(line: Line2D) -> list[float]:
    return [float(x) for x in np.asarray(line.get_xdata())]


def heights_of(line: Line2D) -> list[float]:
    return [float(y) for y in np.asarray(line.get_ydata())]


def dashes_of(line: Any) -> Any:
    return line._unscaled_dash_pattern[1]


@pytest.mark.usefixtures("style")
def test_bars_are_as_high_as_the_values(quick: Any) -> None:
    (board,) = leaderboards(quick.results())
    axes = map_figure(board).axes[0]
    bars: list[Any] = list(axes.patches)
    drawn = sorted(round(bar.get_height(), 6) for bar in bars)
    expected = sorted(
        round(100 * (entry.mean or 0), 6)
        for row in board.rows
        for entry in (row.clean.expected, *(s.expected for s in row.attacked), row.worst_case)
    )
    assert drawn == expected
    heights = {heights_of(line)[0] for line in axes.lines}
    assert {10.0, 5.0} <= heights  # chance and floor


@pytest.mark.usefixtures("style")
def test_targeted_attacks_are_in_no_picture(quick: Any, book: Any) -> None:
    before = plots(quick.results())
    for defense in ("none", "atrdh", "cgat"):
        book.targeted(defense, "tha", 0.8, own=0.02)
    assert plots(book.results()) == before


@pytest.mark.usefixtures("style")
def test_a_failed_cell_is_a_word_in_the_picture(quick: Any) -> None:
    quick.cells = [c for c in quick.cells if (c.cell.defense, c.cell.attack) != ("cgat", "sdha")]
    quick.lost("cgat", "sdha", "the disk is full")
    (board,) = leaderboards(quick.results())
    axes = map_figure(board).axes[0]
    said = [text.get_text() for text in axes.texts]
    assert said.count("failed") == 2  # the attack and the worst case
    assert len(axes.patches) == 3 * 6 - 2
    assert "cgat\n(not ranked: incomplete)" in [t.get_text() for t in axes.get_xticklabels()]


@pytest.mark.usefixtures("style")
def test_lines_over_eps_begin_at_the_clean_value(rich_book: Any) -> None:
    boards = leaderboards(rich_book.results())
    figure = eps_figure(boards)
    assert figure is not None
    panels = [axes for axes in figure.axes if axes.axison]
    assert [axes.get_title(loc="left").replace("\n", "") for axes in panels] == [
        "worst case",
        "noise",
        "hag",
        "pgd-hamming:steps=20",
        "sdha",
    ]
    clean = {round(100 * (row.clean.expected.mean or 0), 9) for row in boards[0].rows}
    for axes in panels:
        curves = [
            line
            for line in axes.lines
            if len(places_of(line)) == 6 and line.get_linestyle() != "None"  # no caps, no marks
        ]
        assert len(curves) == 4
        assert {round(heights_of(line)[0], 9) for line in curves} == clean
        assert [round(x * 255, 9) for x in places_of(curves[0])] == [0, 2, 4, 8, 16, 24]


@pytest.mark.usefixtures("style")
def test_curves_are_means_over_the_seeds(book: Any) -> None:
    for seed, value in enumerate((0.4, 0.6)):
        book.clean("none", 0.8, seed).attacked("none", "hag", value, seed)
    (board,) = leaderboards(book.results())
    figure = curves_figure(board)
    assert figure is not None
    clean, hag = figure.axes[0].lines[:2]
    recall = np.linspace(0.1, 1, 10)
    # As made in conftest: precision falls on a line through the value.
    assert np.allclose(np.asarray(hag.get_ydata()), 0.5 * (1.15 - 0.3 * recall))
    # Offset and lengths; matplotlib names both "--".
    assert not dashes_of(clean)
    assert dashes_of(hag)


@pytest.mark.usefixtures("style")
@pytest.mark.parametrize("many", [False, True])
def test_nothing_overlaps_and_nothing_is_cut_off(rich_book: Any, many: bool) -> None:
    if many:
        name = "a-very-long-defense-name:epochs=30,inner_steps=14,eps=8/255"
        for seed in range(3):
            rich_book.clean(name, 0.6, seed)
            for eps in ("8/255", "24/255"):
                for attack in ("noise", "hag", "sdha:steps=2000,learning_rate=0.001"):
                    rich_book.attacked(name, attack, 0.3, seed, eps)
    for figure in figures(rich_book):
        figure.canvas.draw()
        whole = figure.bbox.padded(1)
        renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
        legend = figure.legends[0].get_window_extent(renderer)
        panels = [axes.get_tightbbox(renderer) for axes in figure.axes if axes.axison]
        boxes = [legend, *(panel for panel in panels if panel is not None)]
        title = getattr(figure, "_suptitle", None)
        if title is not None:
            boxes.append(title.get_window_extent(renderer))
        for place, box in enumerate(boxes):
            assert whole.x0 <= box.x0 <= box.x1 <= whole.x1
            assert whole.y0 <= box.y0 <= box.y1 <= whole.y1
            for other in boxes[place + 1 :]:
                assert Bbox.intersection(box.padded(-1), other.padded(-1)) is None
        for axes in (axes for axes in figure.axes if axes.axison):
            labels = [
                label.get_window_extent(renderer)
                for label in axes.get_xticklabels()
                if label.get_text() and label.get_visible()
            ]
            for one, other in pairwise(labels):
                assert Bbox.intersection(one, other) is None


ENVIRONMENTS: dict[str, dict[str, str]] = {
    "notebook": {"MPLBACKEND": "module://matplotlib_inline.backend_inline"},
    "nonsense": {"MPLBACKEND": "no such thing", "MATPLOTLIBRC": "/dev/zero"},
    "interactive": {"MPLBACKEND": "TkAgg", "DISPLAY": ""},
    "no place for its cache": {"MPLCONFIGDIR": "/dev/null/no", "HOME": "/dev/null/no"},
    "settings in no letters": {},
}

SETTINGS_OF_A_USER = b"font.size: 30\naxes.facecolor: pink\nbackend: nosuch\nnonsense: 1\n"


@pytest.mark.slow
@pytest.mark.parametrize("variables", ENVIRONMENTS.values(), ids=ENVIRONMENTS.keys())
def test_nothing_around_the_process_changes_a_picture(
    tmp_path: Path, variables: dict[str, str]
) -> None:
    """Its working folder, the settings of its user, the backend that its caller asked for."""
    results = Path(__file__).parents[1] / "golden" / "format-2" / "results"
    settings = SETTINGS_OF_A_USER if variables else b"\xff\xfe"
    (tmp_path / "matplotlibrc").write_bytes(settings)
    words = [sys.executable, "-P", "-m", "hashbench", "report", str(results), "--format", "plots"]
    env = {**os.environ, "OMP_NUM_THREADS": "1", **variables}
    done = subprocess.run(
        [*words, "-o", "drawn"], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1, done.stderr  # a cell of these results failed
    assert done.stderr.endswith(" files of format 'plots' in drawn\n")
    found = {path.name: path.read_bytes() for path in (tmp_path / "drawn").iterdir()}
    assert found == plots(load_results(results))


def test_the_import_leaves_the_process_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    program = (
        "import os; os.rmdir(os.getcwd()); before = dict(os.environ)\n"
        "from hashbench.reports.plots import style\n"
        "assert dict(os.environ) == before and before['MPLBACKEND'] == 'no such thing'\n"
        "assert os.readlink('/proc/self/cwd').endswith('gone (deleted)')\n"
    )
    env = {**os.environ, "MPLBACKEND": "no such thing"}
    subprocess.run(
        [sys.executable, "-P", "-c", program], cwd=tmp_path / "gone", env=env, check=True
    )


def test_dollar_signs_and_control_characters_in_names_are_text(book: Any) -> None:
    name = "odd$\\frac{$:note=a\x00\x1b[31mb"
    book.clean(name, 0.7).attacked(name, "hag", 0.3)
    for name, content in plots(book.results()).items():
        if name.endswith(".svg"):
            assert "odd$\\frac{$" in words(content)
