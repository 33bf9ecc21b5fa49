"""How sure a table is: its intervals, the ranks that it cannot tell apart, and its words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hashbench import plugins
from hashbench.reports.board.leaderboard import Leaderboard, leaderboards
from hashbench.reports.board.row import Row
from hashbench.reports.board.uncertainty import NEIGHBOURS
from hashbench.reports.text.notes import notes_on
from hashbench.reports.text.sentences import caption, in_brief
from hashbench.reports.text.sheet import Sheet
from hashbench.reports.text.sheets import ranking, sheets
from hashbench.results import COLUMNS, WORST_CASE, Results
from hashbench.results.intervals import Interval, intervals
from hashbench.results.results import part

QUERIES = 200


def only_board(results: Results) -> Leaderboard:
    (board,) = leaderboards(results)
    return board


def row_of(board: Leaderboard, defense: str) -> Row:
    return next(row for row in board.rows if row.defense == defense)


def drawn(height: float, seed: int, noise: float = 0.1) -> NDArray[np.float64]:
    """APs about a height, with a mean that is the height itself."""
    random = np.random.default_rng(seed)
    found: NDArray[np.float64] = random.normal(0, noise, QUERIES)
    moved: NDArray[np.float64] = np.clip(found - found.mean() + height, 0, 1)
    return moved


def of(values: NDArray[np.float64]) -> Interval | None:
    (found,) = intervals([values])
    return found


def near(values: NDArray[np.float64]) -> Any:
    """The interval of these, but for the last bits: they hang on the company of a row."""
    found = of(values)
    assert found is not None
    return pytest.approx((found.low, found.high), abs=1e-12)


def ends(found: Interval | None) -> tuple[float, float]:
    assert found is not None
    return (found.low, found.high)


def filled(book: Any, heights: dict[str, float], seeds: Sequence[int] = (0,)) -> Any:
    """Defenses whose one attack leaves what is asked for."""
    for place, (defense, height) in enumerate(heights.items()):
        for seed in seeds:
            book.clean(defense, 0.8, seed)
            book.attacked(defense, "hag", drawn(height, 10 * seed + place), seed)
    return book


def ranks(board: Leaderboard) -> list[tuple[str, str]]:
    return [(row.defense, row.ranks) for row in board.rows]


# --- Intervals ---


def test_every_number_has_the_interval_of_its_queries(book: Any) -> None:
    hag, noise = drawn(0.4, 0), drawn(0.5, 1)
    book.clean("none", 0.8).attacked("none", "hag", hag).attacked("none", "noise", noise)
    row = only_board(book.results()).rows[0]
    first, second = (score.expected.interval for score in row.attacked)
    assert ends(first) == near(noise)
    assert ends(second) == near(hag)
    assert ends(row.worst_case.interval) == near(np.minimum(hag, noise))
    assert row.clean.expected.interval is None  # of one query, in this book
    assert row.clean.worst.interval is None
    assert row.chance.interval is None
    assert row.floor.interval is None


def test_of_several_seeds_it_is_that_of_each_querys_mean(book: Any) -> None:
    """And it is narrower than the seeds are apart, if they are: they are another matter."""
    both = [drawn(0.3, 0), drawn(0.5, 1)]
    for seed, values in enumerate(both):
        book.clean("none", 0.8, seed).attacked("none", "hag", values, seed)
    entry = only_board(book.results()).rows[0].worst_case
    assert ends(entry.interval) == near((both[0] + both[1]) / 2)
    assert entry.std == pytest.approx(0.2 / np.sqrt(2))
    assert entry.interval is not None
    assert not entry.interval.holds(0.3)


def test_a_seed_that_failed_is_not_in_it(book: Any) -> None:
    values = drawn(0.3, 0)
    book.clean("none", 0.8, 0).attacked("none", "hag", values, 0)
    book.clean("none", 0.8, 1).lost("none", "hag", "out of memory", 1)
    row = only_board(book.results()).rows[0]
    assert ends(row.attacked[0].expected.interval) == near(values)
    assert ends(row.worst_case.interval) == near(values)
    assert row.ranks == ""


def test_what_has_no_number_has_no_interval(book: Any) -> None:
    book.clean("none", 0.8).lost("none", "hag", "out of memory")
    row = only_board(book.results()).rows[0]
    assert row.attacked[0].expected.interval is None
    assert row.worst_case.interval is None


def test_a_targeted_attack_has_one_by_the_querys_own_labels_alone(book: Any) -> None:
    book.clean("none", 0.8).attacked("none", "hag", drawn(0.4, 0))
    book.targeted("none", "dhta", 0.6, 0.3)
    last = book.cells[-1]
    object.__setattr__(last, "per_query", drawn(0.3, 2))
    found = only_board(book.results()).rows[0].targeted[0]
    assert ends(found.own.interval) == near(drawn(0.3, 2))
    assert found.reached.expected.interval is None


def test_whoever_wants_none_pays_for_none(book: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    results = filled(book, {"a": 0.4, "b": 0.4}).results()
    from hashbench.reports.board import uncertainty

    monkeypatch.setattr(uncertainty, "intervals", pytest.fail)
    (board,) = leaderboards(results, intervals=False)
    assert not board.has_intervals
    assert ranks(board) == [("a", "1"), ("b", "1")]


# --- Ranks ---


def test_ranks_that_cannot_be_told_apart_are_ranges(book: Any) -> None:
    board = only_board(filled(book, {"a": 0.6, "b": 0.595, "c": 0.4, "d": 0.395}).results())
    assert [row.rank for row in board.rows] == [1, 2, 3, 4]
    assert ranks(board) == [("a", "1-2"), ("b", "1-2"), ("c", "3-4"), ("d", "3-4")]


def test_ranks_that_can_be_are_plain(book: Any) -> None:
    board = only_board(filled(book, {"a": 0.6, "b": 0.5}).results())
    assert ranks(board) == [("a", "1"), ("b", "2")]
    assert [(row.first_rank, row.last_rank) for row in board.rows] == [(1, 1), (2, 2)]


def test_two_equal_models_share_a_rank_and_no_range(book: Any) -> None:
    for defense in ("a", "b"):
        book.clean(defense, 0.8).attacked(defense, "hag", drawn(0.4, 0))
    board = only_board(book.results())
    assert [(row.rank, row.ranks) for row in board.rows] == [(1, "1"), (1, "1")]


def test_pairs_of_queries_decide_and_not_whether_intervals_overlap(book: Any) -> None:
    hard = np.random.default_rng(0).beta(0.5, 1, QUERIES) * 0.9
    book.clean("better", 0.8).attacked("better", "hag", hard + 0.01)
    book.clean("worse", 0.8).attacked("worse", "hag", hard)
    board = only_board(book.results())
    better, worse = (row.worst_case.interval for row in board.rows)
    assert better is not None
    assert worse is not None
    assert better.low < worse.high
    assert ranks(board) == [("better", "1"), ("worse", "2")]


def test_a_row_that_is_not_ranked_has_no_ranks(book: Any) -> None:
    filled(book, {"a": 0.6, "b": 0.6})
    book.clean("flat", 0.1).attacked("flat", "hag", drawn(0.1, 5))
    row = row_of(only_board(book.results()), "flat")
    assert (row.rank, row.first_rank, row.last_rank, row.ranks) == (None, None, None, "")


def test_one_query_tells_nothing_apart_and_claims_nothing(new_book: Any) -> None:
    book = new_book(query=1)
    book.clean("a", 0.8).attacked("a", "hag", 0.6).clean("b", 0.8).attacked("b", "hag", 0.2)
    board = only_board(book.results())
    assert [(row.rank, row.first_rank, row.last_rank) for row in board.rows] == [
        (1, None, None),
        (2, None, None),
    ]
    assert not board.has_intervals
    assert "One query says nothing of others: no number has an interval" in " ".join(
        notes_on(board)
    )


def test_a_long_table_of_equal_models_says_how_far_it_looked(book: Any) -> None:
    count = NEIGHBOURS + 5
    for place in range(count):
        # Worst cases that print otherwise, and are all alike to 200 queries.
        values = drawn(0.5 - 0.001 * place, place)
        book.clean(f"d{place:02}", 0.8).attacked(f"d{place:02}", "hag", values)
    board = only_board(book.results())
    assert board.rows[0].ranks == f"1-{NEIGHBOURS + 1}"
    assert board.rows[-1].ranks == f"{count - NEIGHBOURS}-{count}"
    assert f"(of the {NEIGHBOURS} above and below it)" in " ".join(notes_on(board))


def test_tables_are_judged_each_for_itself(book: Any, new_book: Any) -> None:
    here = filled(book, {"a": 0.6, "b": 0.595})
    there = filled(new_book(bits=64), {"a": 0.6, "b": 0.3})
    boards = leaderboards(here.results(there))
    alone = [only_board(one.results()) for one in (here, there)]
    assert (
        list(map(ranks, boards))
        == list(map(ranks, alone))
        == [
            [("a", "1-2"), ("b", "1-2")],
            [("a", "1"), ("b", "2")],
        ]
    )


# --- Words ---


def column(sheet: Sheet, head: str) -> list[str]:
    place = sheet.header.index(head)
    return [" ".join(row[place].parts) for row in sheet.rows]


def test_the_ranking_shows_the_worst_cases_interval(book: Any) -> None:
    board = only_board(filled(book, {"a": 0.6, "b": 0.595}).results())
    first, second = (row.worst_case.interval for row in board.rows)
    assert first is not None
    assert second is not None
    shown = column(ranking(board), "95 % interval")
    assert shown == [f"[{100 * one.low:.1f}, {100 * one.high:.1f}]" for one in (first, second)]
    assert column(ranking(board), "#") == ["1-2", "1-2"]


def test_a_sheet_shows_every_interval_in_two_widths(book: Any) -> None:
    filled(book, {"a": 0.6, "b": 0.3})
    book.attacked("a", "noise", drawn(0.7, 9))  # nobody asked for it on b
    board = only_board(book.results())
    sheet = next(one for one in sheets(board) if one.title.startswith("Intervals: "))
    assert sheet.header == ("defense", "clean", "noise", "hag", "worst case")
    noise = of(drawn(0.7, 9))
    assert noise is not None
    text = f"[{100 * noise.low:.1f}, {100 * noise.high:.1f}]"
    assert column(sheet, "noise") == [f"70.0 {text}", "-"]
    assert sheet.narrow is not None
    lines = [tuple(" ".join(field.parts) for field in row) for row in sheet.narrow.rows]
    assert ("a", "noise", "70.0", text) in lines
    assert not [line for line in lines if line[:2] == ("b", "noise")]


def test_without_intervals_no_table_and_no_sentence_speaks_of_them(quick: Any) -> None:
    board = only_board(quick.results())
    assert "95 % interval" not in ranking(board).header
    assert not [sheet for sheet in sheets(board) if sheet.title.startswith("Intervals")]
    said = " ".join((*notes_on(board), *caption(board), *in_brief(board)))
    assert "nterval" not in said


def test_sentences_say_what_an_interval_is_and_is_not(book: Any) -> None:
    board = only_board(filled(book, {"a": 0.6, "b": 0.595}).results())
    notes = " ".join(notes_on(board))
    assert "1-2 in place of a rank: the ranks that cannot be told from its own by these" in notes
    assert "0 lies in the 99 % interval of the paired difference" in notes
    assert "one seed says nothing of it" in " ".join(caption(board))
    assert "9,999 draws" in " ".join(caption(board))
    assert "One seed" in " ".join(in_brief(board))


def test_several_seeds_speak_of_the_training(book: Any) -> None:
    board = only_board(filled(book, {"a": 0.6, "b": 0.3}, seeds=(0, 1)).results())
    assert "the deviation over the seeds is about that" in " ".join(caption(board))
    assert "One seed" not in " ".join(in_brief(board))
    assert "in place of a rank" not in " ".join(notes_on(board))


@pytest.mark.parametrize("name", ["terminal", "markdown"])
def test_formats_show_ranks_and_intervals(book: Any, name: str) -> None:
    form = plugins.get("format", name)
    assert isinstance(form, plugins.Format)
    text = form.render(filled(book, {"a": 0.6, "b": 0.595}).results(), width=80)
    assert "1-2" in text
    assert "95 % interval" in text
    assert "Intervals: mAP over the whole ranking [95 % interval over queries]" in text


# --- Frames ---


def test_a_frame_has_both_ends_beside_every_map_and_nothing_else(book: Any) -> None:
    values = {"hag": drawn(0.4, 0), "sdha": drawn(0.5, 1)}
    book.clean("none", 0.8)
    for attack, one in values.items():
        book.attacked("none", attack, one)
    frame = book.results().to_frame()
    assert COLUMNS[-2:] == ("low", "high")
    worst = np.minimum(values["hag"], values["sdha"])
    for attack, one in {**values, WORST_CASE: worst}.items():
        (row,) = frame[(frame.attack == attack) & (frame.metric == "map")].to_dict("records")
        assert (row["low"], row["high"]) == near(one)
        assert row["low"] < row["value"] < row["high"]
    others = frame[(frame.metric != "map") | (frame.attack == "none")]
    assert others[["low", "high"]].isna().all().all()


def test_a_part_of_results_has_the_same_intervals(book: Any) -> None:
    results = filled(book, {"a": 0.6, "b": 0.3}).results()
    some = part(results, [one.cell for one in results.cells if one.cell.defense == "a"])
    assert some.intervals.keys() < results.intervals.keys()
    for cell, found in some.intervals.items():
        assert ends(found) == pytest.approx(ends(results.intervals[cell]), abs=1e-12)


def test_the_wide_frame_has_the_worst_cases_ends_in_percent(book: Any) -> None:
    both = [drawn(0.3, 0), drawn(0.5, 1)]
    for seed, one in enumerate(both):
        book.clean("none", 0.8, seed).attacked("none", "hag", one, seed)
    book.clean("lost", 0.8).lost("lost", "hag", "out of memory")
    frame = book.results().leaderboard()
    found = of((both[0] + both[1]) / 2)
    assert found is not None
    rows = {row["defense"]: row for row in frame.to_dict("records")}
    ends = [rows["none"][f"worst case {end}"] for end in ("low", "high")]
    assert ends == pytest.approx([100 * found.low, 100 * found.high], abs=1e-9)
    assert (
        frame.loc[frame.defense == "lost", ["worst case low", "worst case high"]]
        .isna()
        .all(axis=None)
    )
