"""Certificates in reports: what is proven beside what attacks leave, and what says nothing.

Whole pages of every format stand in tests/reports/golden_certified/; see `test_golden`.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.patches import Rectangle

from hashbench import plugins
from hashbench.eps import Eps
from hashbench.plugins import Format
from hashbench.reports.board.leaderboard import Leaderboard, leaderboards
from hashbench.reports.board.over_seeds import collect
from hashbench.reports.board.row import Row
from hashbench.reports.page.document import page
from hashbench.reports.plots.files import draw, plot_files
from hashbench.reports.text import reproduce
from hashbench.reports.text.notes import notes_on
from hashbench.reports.text.overview import overviews
from hashbench.reports.text.sheets import ranking, sheets
from hashbench.results.cell import Status
from hashbench.results.results import Results, part
from hashbench.results.selection import Selection, selected

FOLDER = Path(__file__).parent / "golden_certified"

PAGES: dict[str, tuple[str, dict[str, object], int | None]] = {
    "terminal.txt": ("terminal", {}, 80),
    "brief.txt": ("terminal", {"full": False}, 80),
    "markdown.md": ("markdown", {}, None),
    "csv.csv": ("csv", {}, None),
    "page.html": ("html", {}, None),
    "latex.tex": ("latex", {"document": True, "details": True}, None),
    "jsonl.jsonl": ("jsonl", {}, None),
}

LAYER = "no bounds are known for its layer backbone.3 (GELU)"


@pytest.fixture
def results(book: Any) -> Results:
    """Two radii: a good proof, a worthless one, none, a failed one, one that nobody asked for."""
    for seed in (0, 1):
        up = 0.01 * seed
        for eps, fall in (("8/255", 0.0), ("24/255", 0.08)):
            for defense, clean, left in (("certified", 0.67, 0.63), ("cgat", 0.69, 0.49)):
                if eps == "8/255":
                    book.clean(defense, clean + up, seed)
                book.attacked(defense, "noise", clean - 0.01 + up, seed, eps)
                book.attacked(defense, "pgd-hamming:steps=20", left - fall + up, seed, eps)
            book.proven("certified", 0.61 - fall + up, seed, eps)
            book.proven("cgat", 0.12, seed, eps)
    for defense in ("none", "jpeg", "saat"):
        book.clean(defense, 0.72)
        book.attacked(defense, "noise", 0.7).attacked(defense, "pgd-hamming:steps=20", 0.2)
    book.unproven("none", LAYER)
    book.unproven("jpeg", "MemoryError: out of memory", status=Status.FAILED)
    made: Results = book.results()
    (protocol,) = made.protocols.values()
    cells = [replace(c, cell=replace(c.cell, protocol="1234abcd" * 8)) for c in made.cells]
    return replace(made, cells=tuple(cells), protocols={"1234abcd" * 8: protocol})


def board_at(results: Results, eps: str) -> Leaderboard:
    (found,) = (board for board in leaderboards(results) if board.group.eps == eps)
    return found


def row_of(board: Leaderboard, defense: str) -> Row:
    (found,) = (row for row in board.rows if row.defense == defense)
    return found


@pytest.mark.parametrize("name", PAGES)
def test_the_page_is_the_same_to_the_byte(results: Results, name: str) -> None:
    kind, parameters, width = PAGES[name]
    form = plugins.get("format", kind, **parameters)
    assert isinstance(form, Format)
    (found,) = form.files(results, width=width).values()
    # The style and the scripts of a page stand in the other golden page.
    found = re.sub(rb"(<(style|script)>).*?(</\2>)", rb"\1\3", found, flags=re.DOTALL)
    found = re.sub(rb"'sha256-[^']*'", b"'sha256-...'", found)
    if "REWRITE_GOLDEN" in os.environ:
        FOLDER.mkdir(exist_ok=True)
        (FOLDER / name).write_bytes(found)
        pytest.fail(f"{name} is written anew: read the difference, and test without REWRITE_GOLDEN")
    assert found.decode() == (FOLDER / name).read_bytes().decode()


def test_no_line_of_a_terminal_is_wider_than_it() -> None:
    for name in ("terminal.txt", "brief.txt"):
        assert max(map(len, (FOLDER / name).read_text().splitlines())) <= 80


# The board.


def test_a_certificate_stands_in_the_table_of_its_radius(results: Results) -> None:
    board = board_at(results, "24/255")
    found = row_of(board, "certified").certified
    assert found is not None
    assert found.proven.mean == pytest.approx(0.535)
    assert found.proven.std == pytest.approx(0.01 / 2**0.5)
    assert (found.bits.mean, found.codes.mean, found.exact.mean) == (0.9, 0.6, 0.95)
    assert found.recall.mean == 0.5
    assert board_at(results, "8/255").rows[0].certified.proven.mean == pytest.approx(0.615)  # type: ignore[union-attr]
    assert row_of(board, "saat").certified is None
    # What is proven is no attack, and changes no worst case.
    assert "none" not in board.attacks
    assert row_of(board, "certified").worst_case.mean == pytest.approx(0.555)


def test_ranks_by_proof_stand_beside_those_by_attack(book: Any) -> None:
    for defense, left, proven in (("a", 0.5, 0.4), ("b", 0.45, 0.42), ("c", 0.6, 0.4)):
        book.clean(defense, 0.7).attacked(defense, "hag", left).proven(defense, proven)
    (board,) = leaderboards(book.results())
    assert {row.defense: row.rank for row in board.rows} == {"c": 1, "a": 2, "b": 3}
    by_proof = {row.defense: row.certified.rank for row in board.rows if row.certified}
    assert by_proof == {"b": 1, "a": 2, "c": 2}  # as printed, a and c prove alike


def test_a_proof_near_chance_is_marked_and_has_no_rank(results: Results) -> None:
    board = board_at(results, "24/255")
    found = row_of(board, "cgat").certified
    assert found is not None
    assert found.worthless  # 12.0, where 14.5 would say something of 10 classes
    assert found.rank is None
    assert any("12.0‡" in part for row in ranking(board).rows for one in row for part in one.parts)
    (note,) = (note for note in notes_on(board) if note.startswith("‡"))
    assert "(10.0)" in note
    assert "14.5 or more" in note


@pytest.mark.parametrize(("value", "worthless"), [(0.1449, True), (0.1451, False)])
def test_the_line_is_that_of_a_useful_model(book: Any, value: float, worthless: bool) -> None:
    book.clean("a", 0.7).attacked("a", "hag", 0.5).proven("a", value)
    (board,) = leaderboards(book.results())
    found = board.rows[0].certified
    assert found is not None
    assert found.worthless is worthless
    assert (found.rank is None) is worthless


def test_where_nothing_is_proven_a_word_stands_and_the_reason_below(results: Results) -> None:
    board = board_at(results, "24/255")
    place = ranking(board).header.index("certified")
    pairs = zip(board.rows, ranking(board).rows, strict=True)
    shown = {row.defense: fields[place].parts for row, fields in pairs}
    assert shown["none"] == ("no certificate",)
    assert shown["jpeg"] == ("failed",)
    assert shown["saat"] == ("-",)
    notes = notes_on(board)
    assert f"No certificate of none: {LAYER}." in notes
    assert "No certificate of jpeg: MemoryError: out of memory." in notes
    # Neither takes a row its rank by attack.
    assert row_of(board, "none").rank is not None
    assert row_of(board, "jpeg").rank is not None


def test_a_seed_without_a_proof_is_told_and_leaves_the_row_unranked(book: Any) -> None:
    for seed in (0, 1):
        book.clean("a", 0.7, seed).attacked("a", "hag", 0.5, seed)
    book.proven("a", 0.4, 0).unproven("a", LAYER, 1)
    (board,) = leaderboards(book.results())
    found = board.rows[0].certified
    assert found is not None
    assert found.rank is None
    field = ranking(board).rows[0][ranking(board).header.index("certified")]
    assert field.parts == ("40.0", "1 of 2", "no certificate")


def test_without_an_attack_the_radius_has_a_table_of_its_own(book: Any) -> None:
    book.clean("a", 0.7).proven("a", 0.4, eps="4/255").clean("b", 0.6)
    found = leaderboards(book.results())
    assert [board.group.eps for board in found] == ["4/255"]
    (board,) = found
    assert [row.defense for row in board.rows] == ["a", "b"]
    assert not board.can_rank
    sheet = next(sheet for sheet in sheets(board) if sheet.name == "Certificates")
    assert [part for one in sheet.rows[0][:5] for part in one.parts] == [
        *("a", "40.0", "41.0", "-", "70.0")
    ]


def test_without_a_mean_order_the_worst_one_is_the_lower_end(book: Any) -> None:
    """Certificates of an artifact that does not tell it, as a file of somebody's own."""
    results = book.clean("a", 0.7).attacked("a", "hag", 0.6).proven("a", 0.4).results()
    found = leaderboards(results)[0].rows[0].certified
    assert found is not None
    assert found.least is found.mean_order
    plain = replace(found, mean_order=collect({}))
    assert plain.least is plain.proven


def test_radius_0_is_one_table_in_both_spellings(book: Any) -> None:
    book.clean("a", 0.7).attacked("a", "hag", 0.7, eps="0").proven("a", 0.66, eps="0")
    found = leaderboards(book.results())
    assert [(board.group.eps, board.has_certificates) for board in found] == [("0", True)]


def test_an_attack_below_a_proof_flags_the_row_and_takes_its_ranks(book: Any) -> None:
    book.clean("a", 0.7).attacked("a", "hag", [0.5, 0.3]).proven("a", [0.4, 0.4])
    results = book.results()
    (board,) = leaderboards(results)
    row = board.rows[0]
    assert row.codes[0] == "attack-beats-certificate"
    assert row.rank is None
    assert row.certified is not None
    assert row.certified.rank is None
    assert [one.beaten.query for one in results.violations] == [1]


def test_the_flags_of_a_part_know_of_what_is_aside(book: Any) -> None:
    book.clean("a", 0.7).attacked("a", "hag", 0.3).proven("a", 0.4)
    whole = book.results()
    shown = part(whole, [one.cell for one in whole.cells if not one.cell.is_certificate])
    assert shown.violations == whole.violations != ()
    assert shown.flags == whole.flags


# What else a report says.


def test_nothing_changes_where_nobody_asked(book: Any) -> None:
    book.clean("a", 0.7).attacked("a", "hag", 0.5)
    (board,) = leaderboards(book.results())
    assert not board.has_certificates
    assert "certified" not in ranking(board).header
    assert not any("certif" in note.lower() for note in notes_on(board))
    assert not any("certified" in name for name in plot_files(book.results()))


def test_the_csv_and_json_lines_hold_the_cell(results: Results) -> None:
    text = plugins.get("format", "csv").render(results)  # type: ignore[attr-defined]
    rows = [row for row in csv.DictReader(io.StringIO(text)) if row["metric"] == "certified_map"]
    assert {(row["attack"], row["eps"]) for row in rows} == {("none", "8/255"), ("none", "24/255")}
    (none,) = (row for row in rows if row["defense"] == "none")
    assert (none["value"], none["status"]) == ("", "done")
    assert none["reason"] == f"no certificate: {LAYER}"
    lines = plugins.get("format", "jsonl").render(results).splitlines()  # type: ignore[attr-defined]
    told = [json.loads(line) for line in lines]
    (row,) = (
        one
        for one in told
        if one["type"] == "row" and (one["defense"], one["eps"]) == ("certified", "24/255")
    )
    assert row["certified"]["proven"]["mean"] == pytest.approx(0.535)
    assert (row["certified"]["rank"], row["certified"]["worthless"]) == (1, False)


def test_a_choice_of_radii_takes_certificates_along(results: Results) -> None:
    shown = selected(results, Selection(eps=(Eps.parse("8/255"),)))
    assert {r.cell.eps for r in shown.cells if r.cell.is_certificate} == {"8/255"}
    of_attack = selected(results, Selection(attack=("noise",), eps=(Eps.parse("24/255"),)))
    assert {r.cell.eps for r in of_attack.cells if r.cell.is_certificate} == {"24/255"}
    clean = selected(results, Selection(attack=("none",)))
    assert {r.cell.attack for r in clean.cells} == {"none"}


def test_the_commands_ask_for_certificates_where_there_are_any(book: Any) -> None:
    book.clean("a", 0.7).attacked("a", "hag", 0.5).proven("a", 0.4).proven("a", 0.5, eps="8/255")
    commands = reproduce.commands(book.results())
    lines = [" ".join(line.replace("\\\n", " ").split()) for line in commands]
    asked = [line for line in lines if line.startswith("hashbench run")]
    assert len(asked) == 2
    assert all("--certify" in line for line in asked)
    of_attack, alone = sorted(asked, key=lambda line: "--attack none" in line)
    assert "--attack hag --eps 24/255" in of_attack
    assert "--attack none --eps 8/255" in alone
    book = type(book)()
    book.clean("a", 0.7).attacked("a", "hag", 0.5)
    assert "--certify" not in " ".join(reproduce.commands(book.results()))


def test_radii_side_by_side_have_a_line_of_what_is_proven(results: Results) -> None:
    (table,) = overviews(leaderboards(results))
    lines = {(row[0].parts[0], row[1].parts[0]): row[2:] for row in table.sheet.rows}
    values = [one.parts[0] for one in lines["certified", "certified"]]
    assert values == ["61.5", "53.5"]


def test_the_page_has_a_column_a_figure_and_a_card(results: Results) -> None:
    found = page(results, (), "Title")
    assert found.certified
    assert len(found.proofs.plots) == 2
    models = {m.defense: m for part in found.parts for m in part.models if part.radius > "0.05"}
    assert models["certified"].proven.text == "53.5"
    assert models["certified"].proof_rank == "1"
    assert models["cgat"].proven.worthless
    assert models["none"].proven.text == "no certificate"
    assert ("certificate", f"no certificate: {LAYER}") in models["none"].facts


# Plots.


def test_a_bar_goes_from_what_is_proven_to_the_worst_case(results: Results) -> None:
    board = board_at(results, "24/255")
    figure = draw("certified", [board])
    assert figure is not None
    drawn = [bar for bar in figure.axes[0].patches if isinstance(bar, Rectangle)]
    bars = {round(bar.get_y() + bar.get_height() / 2): bar for bar in drawn}
    places = [row.defense for row in board.rows]
    bar = bars[places.index("certified")]
    assert bar.get_x() == pytest.approx(54.5)  # the mean order, as of the worst case
    assert bar.get_x() + bar.get_width() == pytest.approx(55.5)
    assert set(bars) == {places.index("certified"), places.index("cgat")}
    words = [text.get_text() for text in figure.axes[0].texts]
    assert {"54.5", "13.0", "no certificate", "failed"} <= set(words)


def test_over_the_radii_stand_clean_worst_case_and_proof(results: Results) -> None:
    figure = draw("certified-eps", leaderboards(results))
    assert figure is not None
    titled = [(axes.get_title(loc="left"), axes) for axes in figure.axes]
    panels = {title: axes for title, axes in titled if title}
    assert set(panels) == {"certified", "cgat"}
    worst, proven, *_ = panels["certified"].lines
    assert np.asarray(proven.get_ydata()) == pytest.approx([62.5, 54.5])
    assert np.asarray(worst.get_ydata()) == pytest.approx([63.5, 55.5])
    names = plot_files(results)
    assert sum(name.endswith("-certified.png") for name in names) == 2
    assert sum(name.endswith("-certified-eps.png") for name in names) == 1


def test_results_draw_them_by_name(results: Results) -> None:
    assert results.plot("certified", eps="24/255").axes
    assert results.plot("certified-eps").axes
