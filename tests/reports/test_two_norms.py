"""Radii of two norms in one report: each has tables, axes and names of its own."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from hashbench import Eps, UsageError, plugins
from hashbench.eps import Norm
from hashbench.reports.board.leaderboard import leaderboards
from hashbench.reports.board.radii import decimal_ticks, families
from hashbench.reports.plots.files import plot_files
from hashbench.reports.plots.one import one_figure
from hashbench.reports.plots.panels import radius_ticks
from hashbench.reports.text import reproduce
from hashbench.reports.text.overview import overviews
from hashbench.results.contract import Format
from hashbench.results.results import Results
from hashbench.results.selection import Selection, selected

RADII = ("8/255", "24/255", "l2:0.5", "l2:2")


def mixed(book: Any) -> Results:
    """Three models at two radii of each norm; `flat` works in L-infinity balls alone."""
    for place, defense in enumerate(("none", "cgat", "certified")):
        book.clean(defense, 0.9 - 0.1 * place)
        for rank, eps in enumerate(RADII):
            left = 0.1 + 0.2 * place + 0.05 * (3 - rank)
            book.attacked(defense, "noise", left + 0.2, eps=eps)
            book.attacked(defense, "pgd-hamming", left, eps=eps)
            if not eps.startswith("l2"):
                book.attacked(defense, "flat", left + 0.1, eps=eps)
        if defense == "certified":
            for eps, proof in zip(RADII, (0.4, 0.2, 0.35, 0.15), strict=True):
                book.proven(defense, proof, eps=eps)
    found: Results = book.results()
    return found


def rendered(name: str, results: Results, width: int | None = None, **fields: Any) -> Any:
    form = plugins.get("format", name, **fields)
    assert isinstance(form, Format)
    return form.render(results, width=width)


def test_each_radius_is_a_table_and_linf_stands_first(book: Any) -> None:
    boards = leaderboards(mixed(book))
    assert [board.group.eps for board in boards] == list(RADII)
    assert [len(board.attacks) for board in boards] == [3, 3, 2, 2]
    by_norm = families(boards)
    assert [norm for _, norm in by_norm] == [Norm.LINF, Norm.L2]
    assert [[b.group.eps for b in one] for one in by_norm.values()] == [
        list(RADII[:2]),
        list(RADII[2:]),
    ]


def test_a_proof_stands_in_the_table_of_its_norm(book: Any) -> None:
    book.clean("none", 0.9)
    for eps in ("0.5", "l2:0.5"):
        book.attacked("none", "hag", 0.5, eps=eps)
    book.proven("none", 0.25, eps="0.5")
    flat, ball = leaderboards(book.results())
    assert flat.has_certificates
    assert not ball.has_certificates
    book.proven("none", 0.45, eps="l2:1/2")
    flat, ball = leaderboards(book.results())
    for board, proven in ((flat, 0.25), (ball, 0.45)):
        certified = board.rows[0].certified
        assert certified is not None
        assert certified.proven.mean == proven


def test_columns_of_radii_name_the_norm(book: Any) -> None:
    (side,) = overviews(leaderboards(mixed(book)))
    assert side.sheet.header[2:] == ("8/255", "24/255", "l2 0.5", "l2 2")


def test_the_terminal_keeps_its_width_and_says_the_threat(book: Any) -> None:
    text = rendered("terminal", mixed(book), width=80)
    assert max(map(len, text.splitlines())) <= 80
    words = " ".join(text.split())
    for eps in RADII:
        assert f"32 bits, eps {eps}" in words
    assert "eps 24/255 (L-infinity, pixels from 0 to 1)" in words
    assert "eps l2:0.5 (L2 over all pixel values, pixels from 0 to 1)" in words
    assert "eps l2:0.5, trained at 24/255" in words


def test_an_undefended_model_in_an_l2_ball_is_trained_for_no_radius(book: Any) -> None:
    book.clean("none", 0.9).attacked("none", "hag", 0.4, eps="l2:1")
    assert "trained at" not in rendered("terminal", book.results(), width=80)


def test_lines_for_programs_carry_the_text_of_the_cell(book: Any) -> None:
    results = mixed(book)
    rows = list(csv.DictReader(io.StringIO(rendered("csv", results))))
    assert {row["eps"] for row in rows} == {"0", *RADII}
    lines = [json.loads(line) for line in rendered("jsonl", results).splitlines()]
    assert {line["eps"] for line in lines if "eps" in line} == {"0", *RADII}
    wide = results.leaderboard()
    assert list(dict.fromkeys(wide["eps"])) == list(RADII)


def test_latex_sets_the_norm_as_mathematics(book: Any) -> None:
    text = rendered("latex", mixed(book), document=True)
    assert text.count(r"& $\ell_2$ 0.5 &") == 1
    assert re.search(r"\\caption\{.*eps \$\\ell_2\$ 0\.5", text)
    head, _, commands = text.partition(r"\begin{verbatim}")
    assert not re.search(r"l2(:|\{|\\)", head.replace("tab:hashbench", ""))
    assert "l2:0.5" in commands


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no LaTeX here")
def test_latex_takes_it(book: Any, tmp_path: Path) -> None:
    (tmp_path / "mixed.tex").write_text(rendered("latex", mixed(book), document=True))
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "mixed.tex"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:]


def test_the_page_has_a_figure_for_each_norm_and_sorts_them_apart(book: Any) -> None:
    page = rendered("html", mixed(book))
    assert page.count("eps (L-infinity)") == page.count("eps (L2)") == 1
    assert "L2 0.5" in page
    assert "L∞ 24/255" in page
    keys = [float(key) for key in re.findall(r'class="t" data-v="([\d.]+)"', page)]
    assert sorted(set(keys)) == pytest.approx([8 / 255, 24 / 255, 1.5, 3], abs=1e-7)
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("kind", ["eps", "certified-eps"])
def test_no_axis_holds_radii_of_two_norms(book: Any, kind: str) -> None:
    results = mixed(book)
    with pytest.raises(UsageError) as raised:
        one_figure(results, kind)
    assert str(raised.value) == (
        "these results hold radii of two norms, and an axis has one: choose by "
        "eps=['8/255', '24/255'] or eps=['l2:0.5', 'l2:2']"
    )
    for norm, radii in ((Norm.LINF, RADII[:2]), (Norm.L2, RADII[2:])):
        part = selected(results, Selection(eps=tuple(map(Eps.parse, radii))))
        figure = one_figure(part, kind)
        labels = {axes.get_xlabel() for axes in figure.axes} - {""}
        assert labels == {f"eps ({norm.words})"}
        most = max(float(Eps.parse(radius)) for radius in radii)
        assert all(axes.get_xlim()[1] <= 1.06 * most for axes in figure.axes if axes.lines)


@pytest.mark.slow
def test_every_plot_has_a_name_that_any_file_system_takes(book: Any) -> None:
    names = set(plot_files(mixed(book)))
    assert all(re.fullmatch(r"[a-z0-9-]+\.(png|svg)", name) for name in names)
    start = "fashion-csq-small-cnn-32bits"
    for kind in ("eps", "certified-eps"):
        assert {f"{start}-{kind}.png", f"{start}-l2-{kind}.png"} <= names
    for radius in ("eps-8-255", "eps-24-255", "eps-l2-0-5", "eps-l2-2"):
        assert f"{start}-{radius}-map.png" in names


@pytest.mark.parametrize(
    ("largest", "labels"),
    [
        ("l2:0.5", ["0", "0.1", "0.2", "0.3", "0.4", "0.5"]),
        ("l2:2", ["0", "0.5", "1", "1.5", "2"]),
        ("l2:0.3", ["0", "0.1", "0.2", "0.3"]),
        ("l2:1000", ["0", "200", "400", "600", "800", "1000"]),
        ("l2:0.007", ["0", "0.002", "0.004", "0.006"]),
        ("l2:0", ["0"]),
    ],
)
def test_ticks_of_a_radius_of_l2(largest: str, labels: list[str]) -> None:
    places, said = radius_ticks(Eps.parse(largest))
    assert said == labels
    assert places == [float(label) for label in labels]
    assert decimal_ticks(float(Eps.parse(largest))) == tuple(places)


def test_the_commands_ask_for_these_cells_and_the_same_training(book: Any) -> None:
    text = "\n".join(reproduce.commands(mixed(book)))
    assert "--eps l2:0.5" in text
    assert "--attack flat" in text
    book.cells.clear()
    book.clean("none", 0.9).attacked("none", "hag", 0.4, eps="l2:1")
    # No radius of such a run says what defenses were trained for.
    assert 'eps = "8/85"' in "\n".join(reproduce.commands(book.results()))


def test_parts_of_results_are_chosen_by_norm_and_radius(book: Any) -> None:
    book.clean("none", 0.9)
    for eps in ("0.5", "l2:0.5"):
        book.attacked("none", "hag", 0.5, eps=eps)
    results = book.results()
    for asked, wanted in (("0.5", "0.5"), ("1/2", "0.5"), ("L2: 1/2", "l2:0.5")):
        part = selected(results, Selection(eps=(Eps.parse(asked),)))
        assert {r.cell.eps for r in part.cells} == {"0", wanted}
    with pytest.raises(UsageError, match=r"these results hold no eps 'l2:0\.4'"):
        selected(results, Selection(eps=(Eps.parse("l2:0.4"),)))


def test_a_pixel_need_not_go_far_in_an_l2_ball(book: Any) -> None:
    book.clean("none", 0.9)
    book.attacked("none", "hag", 0.5, eps="24/255", reach=1 / 255)
    book.attacked("none", "hag", 0.5, eps="l2:2", reach=1 / 255)
    flat, ball = leaderboards(book.results())
    assert flat.rows[0].short
    assert not ball.rows[0].short
