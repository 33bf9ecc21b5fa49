"""Sanity flags from cells to reports: one wrong cell raises one flag, shown in every format."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from hashbench import plugins
from hashbench.plugins import Aim
from hashbench.reports.board.leaderboard import Leaderboard, leaderboards
from hashbench.reports.board.row import Row
from hashbench.results.cell import Status
from hashbench.results.flags import Code
from hashbench.results.results import Results

Change = Callable[[Any], object]


def only_board(book: Any) -> Leaderboard:
    (board,) = leaderboards(book.results())
    return board


def row_of(board: Leaderboard, defense: str) -> Row:
    return next(row for row in board.rows if row.defense == defense)


def render(name: str, results: Results, width: int | None = 80) -> str:
    form = plugins.get("format", name)
    assert isinstance(form, plugins.Format)
    return form.render(results, width=width)


def honest(book: Any, defense: str = "cgat", seed: int = 0) -> Any:
    """A model in order under every kind of attack."""
    book.clean(defense, 0.7, seed)
    for attack, value in (
        ("noise", 0.69),
        ("hag", 0.5),
        ("pgd:steps=100", 0.4),
        ("pgd:steps=20", 0.42),
        ("search", 0.6),
        ("ranked", 0.65),
        ("transfer", 0.55),
    ):
        book.attacked(defense, attack, value, seed, flipped_bits=0.2)
    return book


def clean_with(book: Any, **metrics: float) -> None:
    """Other metrics of the clean cell."""
    cell = next(c for c in book.cells if c.cell.attack == "none")
    changed = {key.replace("_", "-"): value for key, value in metrics.items()}
    book.cells[book.cells.index(cell)] = replace(cell, metrics={**cell.metrics, **changed})


def attacked_with(book: Any, attack: str, value: float | None = None, **metrics: float) -> None:
    """Another outcome of an attack."""
    cell = next(c for c in book.cells if c.cell.attack == attack)
    book.cells.remove(cell)
    value = cell.metrics["map"] if value is None else value
    book.attacked("cgat", attack, value, **metrics)


WRONG: dict[Code, Change] = {
    Code.ATTACK_BEATS_CERTIFICATE: lambda book: book.proven("cgat", 0.41),
    Code.CLEAN_AT_CHANCE: lambda book: clean_with(book, map=0.14, floor=0.13),
    Code.COLLAPSED_CODES: lambda book: clean_with(book, distinct_codes=4.0),
    Code.STOCHASTIC_CODES: lambda book: clean_with(book, probe_unstable=0.3),
    Code.BATCH_DEPENDENT_CODES: lambda book: clean_with(book, probe_batch_dependent=0.9),
    Code.BATCH_DEPENDENT_ATTACK: lambda book: attacked_with(book, "search", batch_dependent=0.5),
    Code.CODES_ALONE: lambda book: clean_with(book, probe_codes_alone=1.0),
    Code.EPS_0_CHANGES_CODES: lambda book: clean_with(book, probe_moved_at_eps_0=0.002),
    Code.ZERO_GRADIENTS: lambda book: attacked_with(book, "search", zero_gradients=0.5),
    Code.SATURATED_OUTPUTS: lambda book: clean_with(book, saturated=0.99),
    Code.NOISE_BEATS_WHITE_BOX: lambda book: attacked_with(book, "noise", 0.39),
    Code.BLACK_BOX_BEATS_WHITE_BOX: lambda book: attacked_with(book, "ranked", 0.39),
    Code.TRANSFER_BEATS_WHITE_BOX: lambda book: attacked_with(book, "transfer", 0.39),
    Code.LARGER_EPS_HELPS: lambda book: book.attacked("cgat", "hag", 0.38, eps="16/255"),
    Code.MORE_STEPS_HELP: lambda book: attacked_with(book, "pgd:steps=20", 0.39),
    Code.UNBOUNDED_EPS_STOPS_SHORT: lambda book: clean_with(book, probe_unbounded=0.6),
    Code.ROBUST_AT_CHANCE: lambda book: clean_with(book, chance=0.39),
}


def test_an_honest_model_raises_nothing(book: Any) -> None:
    board = only_board(honest(book))
    assert board.rows[0].codes == ()
    assert board.rows[0].rank == 1
    for name in ("terminal", "markdown", "csv"):
        assert "flag" not in render(name, book.results())


@pytest.mark.parametrize("code", list(Code))
def test_one_wrong_cell_raises_its_flag_alone_and_costs_the_rank(book: Any, code: Code) -> None:
    WRONG[code](honest(book))
    honest(book, "atrdh")
    board = leaderboards(book.results())[-1]
    assert row_of(board, "cgat").codes == (code,)
    assert row_of(board, "cgat").rank is None
    assert row_of(board, "cgat").worst_case.mean is not None  # its numbers stay
    assert (row_of(board, "atrdh").codes, row_of(board, "atrdh").rank) == ((), 1)


@pytest.mark.parametrize("code", list(Code))
def test_every_format_shows_it(book: Any, code: Code) -> None:
    WRONG[code](honest(book))
    results = book.results()
    terminal = " ".join(render("terminal", results).split())
    assert f"cgat: {code}: " in terminal
    assert f"See docs/flags.md#{code}." in terminal
    assert "! flagged:" in terminal
    markdown = render("markdown", results)
    assert rf"See docs/flags.md\#{code}." in markdown
    assert re.search(r"^\| \\! \| cgat \|", markdown, flags=re.MULTILINE)
    rows = list(csv.DictReader(io.StringIO(render("csv", results))))
    found = [row for row in rows if row["metric"].startswith("flag(")]
    assert [
        (row["defense"], row["attack"], row["eps"], row["seed"], row["metric"], row["value"])
        for row in found
    ] == [("cgat", "worst-case", "24/255", "0", f"flag({code})", "1")]
    assert found[0]["status"] == "done"
    assert found[0]["reason"] in terminal


def test_flagged_rows_are_marked_and_stand_below_the_ranked_ones(book: Any) -> None:
    WRONG[Code.SATURATED_OUTPUTS](honest(book))
    honest(book, "none").lost("late", "none", "gone").lost("late", "hag", "gone")
    lines = render("terminal", book.results()).splitlines()
    start = next(place for place, line in enumerate(lines) if line.startswith("#"))
    marks = [line.split()[:2] for line in lines[start + 2 : start + 5]]
    assert marks == [["1", "none"], ["!", "cgat"], ["-", "late"]]


def test_one_seed_is_enough_and_is_named(book: Any) -> None:
    for seed in range(3):
        honest(book, seed=seed)
    clean_with(book, saturated=0.99)
    (finding,) = only_board(book).rows[0].findings
    assert finding.words.startswith("seed 0: 99 % of its outputs are exactly 1 or -1")
    assert "likewise" not in finding.words


def test_targeted_attacks_take_no_part_in_comparisons(book: Any) -> None:
    """By the query's own labels they leave less than any other, or more than at a smaller eps."""
    honest(book).targeted("cgat", "search:targeted=true", 0.8, own=0.05)
    book.targeted("cgat", "tha:steps=100", 0.8, own=0.7)
    book.targeted("cgat", "tha:steps=20", 0.8, own=0.3)
    book.targeted("cgat", "tha:steps=100", 0.8, own=0.3, eps="8/255")
    assert [row.codes for board in leaderboards(book.results()) for row in board.rows] == [()] * 2


def test_a_targeted_attack_without_gradients_is_evidence_too(book: Any) -> None:
    book.clean("cgat", 0.7).targeted("cgat", "tha", 0.1, own=0.7, zero_gradients=0.9)
    assert only_board(book).rows[0].codes == (Code.ZERO_GRADIENTS,)


@pytest.mark.parametrize(("smaller", "larger", "is_up"), [(0.3, 0.32, True), (0.3, 0.3, False)])
def test_radii_are_ordered_as_fractions(
    book: Any, smaller: float, larger: float, is_up: bool
) -> None:
    book.clean("cgat", 0.7)
    book.attacked("cgat", "pgd", smaller, eps="8/255").attacked("cgat", "pgd", larger, eps="0.032")
    book.attacked("cgat", "pgd", larger + 0.1, eps="16/510")  # no larger than 8/255
    up = {
        board.group.eps: Code.LARGER_EPS_HELPS in board.rows[0].codes
        for board in leaderboards(book.results())
    }
    assert up == {"8/255": False, "16/510": False, "0.032": is_up}


def test_another_model_is_no_sibling(new_book: Any) -> None:
    first, second = new_book(), new_book(bits=16)
    first.clean("cgat", 0.7).attacked("cgat", "pgd", 0.3)
    second.clean("cgat", 0.7).attacked("cgat", "pgd", 0.1, eps="8/255")
    first.clean("cgat", 0.7, seed=1).attacked("cgat", "pgd", 0.1, seed=1, eps="16/255")
    first.clean("atrdh", 0.7).attacked("atrdh", "pgd", 0.1, eps="16/255")
    assert first.results(second).flags == {}


def test_a_cell_of_eps_0_is_held_against_the_clean_one(book: Any) -> None:
    honest(book).attacked("cgat", "pgd:steps=100", 0.7, eps="0")
    assert book.results().flags == {}
    book.attacked("cgat", "hag", 0.699, eps="0")
    zero, full = leaderboards(book.results())
    assert zero.rows[0].codes == full.rows[0].codes == (Code.EPS_0_CHANGES_CODES,)


def test_a_failed_white_box_attack_makes_the_row_incomplete_and_no_more(book: Any) -> None:
    """Noise does more than what is left, which says nothing of the model."""
    book.clean("cgat", 0.7).attacked("cgat", "noise", 0.6).attacked("cgat", "hag", 0.65)
    book.lost("cgat", "pgd", "out of memory")
    row = only_board(book).rows[0]
    assert [finding.code for finding in row.findings] == [None]
    book.cells.pop()
    assert only_board(book).rows[0].codes == (Code.NOISE_BEATS_WHITE_BOX,)


def test_a_failed_attack_of_another_kind_hides_no_flag(book: Any) -> None:
    WRONG[Code.NOISE_BEATS_WHITE_BOX](honest(book))
    book.lost("cgat", "tha", "left the ball", aim=Aim.TARGETED)
    book.cells = [cell for cell in book.cells if cell.cell.attack != "search"]
    book.lost("cgat", "search", "out of passes")
    assert only_board(book).rows[0].codes == (Code.NOISE_BEATS_WHITE_BOX,)


def test_the_order_of_the_cells_changes_no_sentence(book: Any) -> None:
    """Where several cells could speak for a flag, always the same one does."""
    honest(book).attacked("cgat", "hag", 0.6, eps="0").attacked("cgat", "pgd", 0.5, eps="0")
    for attack in ("aaa", "zzz"):
        book.attacked("cgat", attack, 0.3, eps="8/255").attacked("cgat", attack, 0.45)
        book.attacked("cgat", attack, 0.3, eps="4/255")
    expected = render("csv", book.results())
    assert expected.count("flag(larger-eps-helps)") == 1
    assert expected.count("flag(eps-0-changes-codes)") == 4
    turned = book.results(order=lambda cells: cells[::-1])
    assert render("csv", turned) == expected


def test_a_plan_that_does_not_tell_of_its_attacks_raises_no_comparison(book: Any) -> None:
    WRONG[Code.NOISE_BEATS_WHITE_BOX](honest(book))
    book.cells = [replace(cell, attack=None) for cell in book.cells]
    assert book.results().flags == {}


def test_a_value_that_is_no_number_raises_nothing(book: Any) -> None:
    honest(book).attacked("cgat", "mine", float("nan"))
    clean_with(book, saturated=float("nan"), probe_unstable=float("nan"), chance=float("nan"))
    row = only_board(book).rows[0]
    assert row.codes == ()
    assert row.attacked[only_board(book).attacks.index("mine")].expected.status is Status.FAILED


def test_a_model_that_nobody_attacked_is_flagged_by_its_clean_cell(book: Any) -> None:
    book.clean("cgat", 0.7, distinct_codes=1.0)
    assert only_board(book).rows[0].codes == (Code.COLLAPSED_CODES,)
    assert ",cgat,none,0,0,flag(collapsed-codes),1,done," in render("csv", book.results())


@pytest.mark.parametrize(
    ("codes", "entropy", "is_up"),
    [
        (10.0, 0.97, False),  # a perfect csq model: one code per class
        (5.0, 0.9, False),
        (4.0, 0.9, True),
        (1.0, 0.0, True),
        (300.0, 0.09, True),  # nearly all images have one code, the rest their own
        (300.0, 0.11, False),
    ],
)
def test_collapsed_codes_are_told_from_the_few_codes_of_a_good_model(
    book: Any, codes: float, entropy: float, is_up: bool
) -> None:
    book.clean("d", 0.7, distinct_codes=codes, bit_entropy=entropy).attacked("d", "hag", 0.5)
    row = only_board(book).rows[0]
    assert row.codes == ((Code.COLLAPSED_CODES,) if is_up else ())
    assert (row.rank is None) == is_up


def test_plots_name_the_first_flag(book: Any) -> None:
    from hashbench.reports.text.sentences import why_not_ranked

    book.clean("flat", 0.1, distinct_codes=1.0).attacked("flat", "hag", 0.1)
    board = only_board(book)
    assert why_not_ranked(board.rows[0], board) == "clean-at-chance"
