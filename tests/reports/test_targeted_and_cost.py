"""The sheets of targeted attacks and of the cost, and that neither touches the ranking."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from hashbench import plugins
from hashbench.plugins import Aim
from hashbench.reports.board.leaderboard import Leaderboard, leaderboards
from hashbench.reports.text import sentences
from hashbench.reports.text.notes import notes_on
from hashbench.reports.text.sheet import Sheet
from hashbench.reports.text.sheets import cost, ranking, sheets, targeted
from hashbench.results.results import Results


def only_board(book: Any) -> Leaderboard:
    (board,) = leaderboards(book.results())
    return board


def texts(sheet: Sheet) -> list[tuple[str, ...]]:
    return [tuple(" ".join(field.parts) for field in row) for row in sheet.rows]


def render(name: str, results: Results, width: int | None = 80) -> str:
    form = plugins.get("format", name)
    assert isinstance(form, plugins.Format)
    return form.render(results, width=width)


def test_targeted_attacks_have_a_sheet_of_their_own(quick: Any) -> None:
    before = only_board(quick)
    for defense in ("none", "atrdh", "cgat"):
        quick.targeted(defense, "tha", 0.8, own=0.02)
    after = only_board(quick)
    # Less than any worst case by the query's own labels, and yet no part of it.
    assert ranking(after) == ranking(before)
    assert after.attacks == before.attacks
    assert after.targeted == ("tha",)
    assert [row.worst_case for row in after.rows] == [row.worst_case for row in before.rows]
    assert notes_on(after) == notes_on(before)
    assert texts(targeted(after)) == [
        (defense, "tha", "10.0", "80.0", "[70.0, 90.0]", "2.0", "3")
        for defense in ("cgat", "atrdh", "none")
    ]
    assert len(sheets(after)) == len(sheets(before)) + 1


def test_the_list_length_is_part_of_the_metric(new_book: Any) -> None:
    book = new_book(top_k=100).clean("none", 0.7).targeted("none", "tha", 0.8, own=0.02)
    sheet = targeted(only_board(book))
    assert sheet.title.startswith("Targeted attacks: t-mAP@100,")
    assert texts(sheet)[0][2:5] == ("10.0", "80.0", "[70.0, 90.0]")


def test_targeted_values_over_seeds_have_their_spread(book: Any) -> None:
    for seed, reached in enumerate((0.7, 0.8, 0.9)):
        book.clean("none", 0.7, seed).targeted("none", "tha", reached, 0.1 * seed, seed)
    (row,) = texts(targeted(only_board(book)))
    assert row == ("none", "tha", "10.0", "80.0 ±10.0", "[70.0, 90.0]", "10.0 ±10.0", "3")


def test_targeted_attacks_alone_rank_nothing(book: Any) -> None:
    book.clean("none", 0.7).targeted("none", "tha", 0.8, own=0.02)
    board = only_board(book)
    assert not board.can_rank
    assert board.rows[0].rank is None
    assert sentences.verdicts(board) == ("Only targeted attacks were run; they rank nothing.",)
    assert sentences.title(board).endswith("eps 24/255")
    assert "worst case" not in ranking(board).header


def test_a_failed_targeted_attack_costs_no_rank_and_is_told(quick: Any) -> None:
    for defense in ("none", "atrdh"):
        quick.targeted(defense, "tha", 0.8, own=0.02)
    quick.lost("cgat", "tha", "it left the ball", aim=Aim.TARGETED)
    board = only_board(quick)
    assert [row.rank for row in board.rows] == [1, 2, 3]
    assert len([note for note in notes_on(board) if "it left the ball" in note]) == 1
    assert texts(targeted(board))[0] == ("cgat", "tha", "10.0", "failed", "-", "failed", "failed")


def test_a_model_that_failed_is_told_once_for_its_targeted_attacks_too(book: Any) -> None:
    book.clean("none", 0.7).attacked("none", "hag", 0.3).targeted("none", "tha", 0.8, own=0.1)
    for attack in ("none", "hag"):
        book.lost("cgat", attack, "the loss is NaN")
    book.lost("cgat", "tha", "the loss is NaN", aim=Aim.TARGETED)
    notes = [note for note in notes_on(only_board(book)) if "NaN" in note]
    assert notes == ["Not ranked: cgat: clean, hag failed: the loss is NaN."]


def test_cost_stands_beside_strength_in_every_row(book: Any) -> None:
    book.clean("none", 0.7).attacked("none", "noise", 0.6, forwards=0.0, backwards=0.0, seconds=0.0)
    book.attacked("none", "auto", 0.1, forwards=1234.0, backwards=250.5, seconds=1.234)
    book.targeted("none", "tha", 0.8, own=0.2, forwards=100.0, backwards=100.0)
    sheet = cost(only_board(book))
    assert sheet.header == ("defense", "attack", "mAP", "forward", "backward", "seconds")
    assert texts(sheet) == [
        ("none", "noise", "60.0", "0", "0", "0"),
        ("none", "auto", "10.0", "1,234", "250.5", "1.2"),
        ("none", "tha", "20.0", "100", "100", "0.013"),
    ]


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.0001234, "0.00012"), (0.0995, "0.100"), (9.96, "10.0"), (12.3, "12"), (4321.0, "4,321")],
)
def test_seconds_have_two_digits_and_no_exponent(book: Any, seconds: float, shown: str) -> None:
    book.clean("none", 0.7).attacked("none", "hag", 0.3, seconds=seconds)
    assert texts(cost(only_board(book)))[0][-1] == shown


def test_costs_are_means_over_the_seeds_that_are_known(book: Any) -> None:
    for seed, seconds in enumerate((0.2, 0.4, None)):
        book.clean("none", 0.7, seed)
        book.attacked("none", "hag", 0.3, seed, seconds=seconds, forwards=100.0 + 10 * seed)
    (row,) = texts(cost(only_board(book)))
    assert row[3:] == ("110", "100", "0.30")


def test_a_cost_that_nobody_measured_is_no_failure(book: Any) -> None:
    book.clean("none", 0.7).attacked("none", "hag", 0.3, seconds=None)
    assert texts(cost(only_board(book)))[0][-1] == "-"


def test_a_failed_cell_stands_in_the_cost_as_failed(book: Any) -> None:
    book.clean("none", 0.7).lost("none", "hag", "gone")
    assert texts(cost(only_board(book)))[0] == ("none", "hag", "failed", "-", "-", "-")


def test_seconds_are_no_part_of_the_csv_nor_of_what_results_are_equal_by(quick: Any) -> None:
    before = quick.results()
    slower = tuple(replace(cell, seconds=(cell.seconds or 0.0) + 7.0) for cell in before.cells)
    after = replace(before, cells=slower)
    assert after == before
    assert render("csv", after) == render("csv", before)
    assert "12.5" not in render("csv", before)


@pytest.mark.parametrize("name", ["terminal", "markdown"])
def test_both_sheets_are_in_every_report(quick: Any, name: str) -> None:
    quick.targeted("none", "tha", 0.8, own=0.02)
    text = render(name, quick.results())
    board = only_board(quick)
    for sheet in (targeted(board), cost(board)):
        assert " ".join(text.split()).count(sheet.title) == 1
    if name == "terminal":
        assert max(len(line) for line in text.splitlines()) <= 80


def test_csv_has_the_targeted_metrics_and_no_worst_case_of_them(book: Any) -> None:
    book.clean("none", 0.7).targeted("none", "tha", 0.8, own=0.02)
    text = render("csv", book.results())
    assert ",none,tha,24/255,0,t-map,0.8,done," in text
    assert ",worst-case," not in text
