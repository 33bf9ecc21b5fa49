"""The leaderboard: what is compared with what, how it is ranked, what is not ranked and why."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hashbench.reports.board.leaderboard import Leaderboard, leaderboards
from hashbench.reports.board.row import Row
from hashbench.results.cell import Status
from hashbench.results.flags import Code
from hashbench.results.results import Results


def only_board(results: Results) -> Leaderboard:
    (board,) = leaderboards(results)
    return board


def row_of(board: Leaderboard, defense: str) -> Row:
    return next(row for row in board.rows if row.defense == defense)


def test_defenses_are_ranked_by_their_worst_case_and_none_like_the_others(quick: Any) -> None:
    board = only_board(quick.results())
    assert [(row.rank, row.defense) for row in board.rows] == [
        (1, "cgat"),
        (2, "atrdh"),
        (3, "none"),
    ]
    assert [row.worst_case.mean for row in board.rows] == [0.519, 0.338, 0.071]
    assert all(not row.findings for row in board.rows)


def test_the_control_comes_first_and_the_other_attacks_by_name(quick: Any) -> None:
    assert only_board(quick.results()).attacks == ("noise", "hag", "pgd-hamming", "sdha")


def test_the_worst_case_is_taken_per_query_not_over_means(book: Any) -> None:
    # Means .5 and .5, and yet no query keeps more than .1; the other defense has lower means.
    book.clean("spread", 0.7).attacked("spread", "a", [0.9, 0.1]).attacked(
        "spread", "b", [0.1, 0.9]
    )
    book.clean("even", 0.7).attacked("even", "a", [0.4, 0.4]).attacked("even", "b", [0.4, 0.4])
    board = only_board(book.results())
    assert row_of(board, "spread").worst_case.mean == pytest.approx(0.1, abs=1e-15)
    assert row_of(board, "spread").attacked[0].expected.mean == pytest.approx(0.5)
    assert [row.defense for row in board.rows] == ["even", "spread"]


def test_rows_whose_worst_cases_print_alike_share_a_rank(book: Any) -> None:
    for defense, worst in (("a", 0.40004), ("b", 0.39996), ("c", 0.3), ("d", 0.5)):
        book.clean(defense, 0.7).attacked(defense, "hag", worst)
    board = only_board(book.results())
    assert [(row.rank, row.defense) for row in board.rows] == [
        (1, "d"),
        (2, "a"),
        (2, "b"),
        (4, "c"),
    ]


def test_among_equal_worst_cases_the_better_clean_value_stands_first(book: Any) -> None:
    # Equal as printed: the hidden digits, which favour "a", decide nothing.
    book.clean("a", 0.6).attacked("a", "hag", 0.40004)
    book.clean("b", 0.7).attacked("b", "hag", 0.39996)
    assert [row.defense for row in only_board(book.results()).rows] == ["b", "a"]


def test_a_failed_attack_keeps_its_row_but_not_its_rank(quick: Any) -> None:
    quick.cells = [c for c in quick.cells if (c.cell.defense, c.cell.attack) != ("cgat", "sdha")]
    quick.lost("cgat", "sdha", "attack 'sdha' must return\n  finite images")
    board = only_board(quick.results())
    assert [(row.rank, row.defense) for row in board.rows] == [
        (1, "atrdh"),
        (2, "none"),
        (None, "cgat"),
    ]
    row = row_of(board, "cgat")
    assert row.worst_case.mean is None
    assert row.worst_case.status is Status.FAILED
    assert [finding.words for finding in row.findings] == [
        "sdha failed: attack 'sdha' must return finite images"
    ]
    # What did run is still there.
    assert row.attacked[board.attacks.index("hag")].expected.mean == 0.588


def test_an_attack_that_one_row_lacks_ranks_nothing(quick: Any) -> None:
    """It stands in the table; the ranks, and every worst case, are those without it."""
    before = only_board(quick.results())
    quick.attacked("none", "mine", 0.02)
    board = only_board(quick.results())
    assert board.attacks == ("noise", "hag", "mine", "pgd-hamming", "sdha")
    assert board.shared == before.attacks
    assert [(row.rank, row.defense) for row in board.rows] == [
        (row.rank, row.defense) for row in before.rows
    ]
    assert [row.worst_case for row in board.rows] == [row.worst_case for row in before.rows]
    assert [row.findings for row in board.rows] == [()] * 3


def test_a_model_that_failed_to_train_is_told_once(book: Any) -> None:
    book.clean("none", 0.7).attacked("none", "hag", 0.2).attacked("none", "sdha", 0.2)
    for attack in ("none", "hag", "sdha"):
        book.lost("atrdh", attack, "the loss is NaN in epoch 3")
    row = row_of(only_board(book.results()), "atrdh")
    assert [finding.words for finding in row.findings] == [
        "clean, hag, sdha failed: the loss is NaN in epoch 3"
    ]


def test_seeds_are_averaged_with_the_sample_standard_deviation(book: Any) -> None:
    # Mean 0.6; deviations -.1, 0, .1: variance 0.02 / (3 - 1), so the deviation is 0.1.
    for seed, value in enumerate((0.5, 0.6, 0.7)):
        book.clean("none", value + 0.1, seed).attacked("none", "hag", value, seed)
    row = only_board(book.results()).rows[0]
    assert row.attacked[0].expected.mean == pytest.approx(0.6, abs=1e-15)
    assert row.attacked[0].expected.std == pytest.approx(0.1, abs=1e-15)
    assert row.worst_case.std == pytest.approx(0.1, abs=1e-15)
    assert row.seeds == (0, 1, 2)
    assert row.rank == 1


def test_the_worst_case_is_taken_per_seed_before_the_mean(book: Any) -> None:
    book.clean("none", 0.7, 0).attacked("none", "a", 0.2, 0).attacked("none", "b", 0.4, 0)
    book.clean("none", 0.7, 1).attacked("none", "a", 0.4, 1).attacked("none", "b", 0.2, 1)
    row = only_board(book.results()).rows[0]
    assert row.worst_case.mean == pytest.approx(0.2)
    assert row.worst_case.std == 0.0


def test_a_failed_seed_is_never_averaged_away(book: Any) -> None:
    for seed, value in enumerate((0.5, 0.7)):
        book.clean("none", 0.8, seed).attacked("none", "hag", value, seed)
    book.clean("none", 0.8, 2).lost("none", "hag", "out of memory", seed=2)
    row = only_board(book.results()).rows[0]
    entry = row.attacked[0].expected
    assert entry.mean == pytest.approx(0.6)
    assert (entry.seeds, len(entry.values), entry.complete) == (3, 2, False)
    assert row.rank is None
    assert row.findings[0].words == "hag (seed 2) failed: out of memory"


def test_a_value_that_is_no_number_counts_as_failed(book: Any) -> None:
    book.clean("none", 0.7).attacked("none", "hag", float("nan"))
    row = only_board(book.results()).rows[0]
    assert row.attacked[0].expected.status is Status.FAILED
    assert row.rank is None


def test_protocols_trainings_and_settings_never_share_a_table(new_book: Any) -> None:
    books = [
        new_book(),
        new_book(dataset="outfits"),
        new_book(top_k=100),
        new_book(training="8" * 64),
        new_book(loss="dph"),
        new_book(bits=16),
    ]
    for place, book in enumerate(books):
        book.clean(f"d{place}", 0.7).attacked(f"d{place}", "hag", 0.3)
    boards = leaderboards(books[0].results(*books[1:]))
    assert sorted(row.defense for board in boards for row in board.rows) == [
        f"d{place}" for place in range(6)
    ]
    assert all(len(board.rows) == 1 and board.rows[0].rank == 1 for board in boards)
    assert len({board.group for board in boards}) == 6


def test_every_eps_has_its_table_and_they_share_the_clean_cells(book: Any) -> None:
    book.clean("none", 0.7)
    for eps, value in (("24/255", 0.1), ("8/255", 0.4), ("0.031", 0.41)):
        book.attacked("none", "hag", value, eps=eps)
    boards = leaderboards(book.results())
    assert [board.group.eps for board in boards] == ["0.031", "8/255", "24/255"]
    assert [board.rows[0].clean.expected.mean for board in boards] == [0.7] * 3
    assert [board.rows[0].worst_case.mean for board in boards] == [0.41, 0.4, 0.1]


def test_a_defense_is_in_the_tables_of_its_own_radii(book: Any) -> None:
    book.clean("none", 0.7).attacked("none", "hag", 0.1)
    book.clean("cgat", 0.7).attacked("cgat", "hag", 0.4, eps="8/255")
    book.clean("idle", 0.7)
    small, large = leaderboards(book.results())
    # What was never attacked has no other place, and is shown as such.
    assert {row.defense for row in small.rows} == {"cgat", "idle"}
    assert {row.defense for row in large.rows} == {"none", "idle"}
    assert row_of(large, "idle").attacked[0].expected.status is Status.MISSING
    assert row_of(large, "idle").rank is None


def test_clean_seeds_of_another_radius_are_not_missed(book: Any) -> None:
    for seed in range(3):
        book.clean("none", 0.7, seed).attacked("none", "hag", 0.4, seed, eps="8/255")
    book.attacked("none", "hag", 0.1, 0, eps="24/255")
    small, large = leaderboards(book.results())
    assert (small.rows[0].seeds, large.rows[0].seeds) == ((0, 1, 2), (0,))
    assert large.rows[0].rank == 1


def test_without_an_attack_nothing_is_ranked(book: Any) -> None:
    book.clean("none", 0.7)
    board = only_board(book.results())
    assert board.attacks == ()
    assert board.rows[0].rank is None
    assert not board.rows[0].findings


def test_the_control_alone_ranks_nothing(book: Any) -> None:
    book.clean("none", 0.7).attacked("none", "noise", 0.69)
    board = only_board(book.results())
    assert not board.can_rank
    assert board.rows[0].rank is None


def test_a_model_at_chance_is_not_ranked_whatever_its_attacked_values(book: Any) -> None:
    book.clean("flat", 0.1).attacked("flat", "hag", 0.1)
    book.clean("nearly", 0.1449).attacked("nearly", "hag", 0.14)
    book.clean("useful", 0.1451).attacked("useful", "hag", 0.02)
    board = only_board(book.results())
    assert [(row.rank, row.defense) for row in board.rows] == [
        (1, "useful"),
        (None, "flat"),
        (None, "nearly"),
    ]
    assert row_of(board, "flat").codes == (Code.CLEAN_AT_CHANCE, Code.ROBUST_AT_CHANCE)
    assert row_of(board, "useful").codes == ()
    assert "10.0" in row_of(board, "flat").findings[0].words


def test_one_seed_at_chance_is_enough(book: Any) -> None:
    for seed, clean in enumerate((0.7, 0.1, 0.7)):
        book.clean("none", clean, seed).attacked("none", "hag", 0.1, seed)
    row = only_board(book.results()).rows[0]
    assert row.rank is None
    assert row.findings[0].code is Code.CLEAN_AT_CHANCE
    assert row.findings[0].words.startswith("seed 1: its clean mAP, 10.0, is at chance (10.0;")


def test_a_table_of_collapsed_models_shows_nothing(new_book: Any) -> None:
    book = new_book(dataset="outfits", chance=0.327)
    for defense in ("none", "atrdh", "cgat"):
        book.clean(defense, 0.327).attacked(defense, "hag", 0.327)
    board = only_board(book.results())
    assert board.shows_nothing
    assert all(row.rank is None for row in board.rows)


def test_one_useful_model_is_enough_for_a_table_to_show_something(quick: Any) -> None:
    quick.clean("flat", 0.1)
    for attack in ("noise", "hag", "sdha", "pgd-hamming"):
        quick.attacked("flat", attack, 0.1)
    board = only_board(quick.results())
    assert not board.shows_nothing
    assert not board.nobody_resists


def test_nobody_resists_where_every_worst_case_is_below_chance(book: Any) -> None:
    for defense in ("none", "cgat"):
        book.clean(defense, 0.7).attacked(defense, "hag", 0.05)
    board = only_board(book.results())
    assert board.nobody_resists
    assert not board.shows_nothing
    assert [row.rank for row in board.rows] == [1, 1]


def test_chance_of_another_row_speaks_for_one_without_a_clean_cell(book: Any) -> None:
    book.clean("none", 0.7).attacked("none", "hag", 0.3)
    book.lost("cgat", "none", "gone").attacked("cgat", "hag", 0.4)
    assert only_board(book.results()).chance == 0.1


def test_the_order_of_the_cells_does_not_matter(rich_book: Any) -> None:
    expected = leaderboards(rich_book.results())
    for seed in range(3):
        shuffle = random.Random(seed).shuffle
        cells = list(rich_book.cells)
        shuffle(cells)
        assert leaderboards(replace(rich_book.results(), cells=tuple(cells))) == expected


def test_rich_results_are_ranked_as_they_were_made(rich_book: Any) -> None:
    boards = leaderboards(rich_book.results())
    assert [board.group.eps for board in boards] == [
        "2/255",
        "4/255",
        "8/255",
        "16/255",
        "24/255",
    ]
    last = boards[-1]
    strong, weak = row_of(last, "cgat:inner_steps=14,weight=0.5"), row_of(last, "none")
    assert (strong.rank, weak.rank) == (1, 2)
    assert [finding.code for finding in row_of(last, "atrdh").findings] == [None]
    assert row_of(last, "flat").codes == (
        Code.CLEAN_AT_CHANCE,
        Code.COLLAPSED_CODES,
        Code.ROBUST_AT_CHANCE,
    )
    words = row_of(last, "flat").findings[0].words
    assert words.startswith("seed 0: its clean mAP, 10.0,")
    assert words.endswith("; likewise seeds 1, 2")
    # The worst case of the table is that of the arrays.
    column = [
        result.per_query
        for result in rich_book.cells
        if (result.cell.defense, result.cell.eps, result.cell.seed) == ("none", "24/255", 0)
        and result.cell.attack != "none"
    ]
    assert dict(weak.worst_case.values)[0] == float(np.minimum.reduce(column).mean())
