"""Ranks are over the attacks that all ranked rows share: no two worst cases of different sets."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hashbench.reports.board.leaderboard import Leaderboard, leaderboards
from hashbench.reports.board.row_reader import RowReader
from hashbench.reports.text.entries import NOT_KNOWN
from hashbench.reports.text.notes import notes_on
from hashbench.reports.text.sheets import ranking
from hashbench.results.cell import Status

ATTACKS = ("auto", "hag", "noise", "sdha")
DEFENSES = ("atrdh", "cgat", "jpeg", "none")
REASON = "it left the ball"

outcomes = st.sampled_from(["done", "done", "done", "failed", "not asked"])
tables = st.fixed_dictionaries(
    {(defense, attack): outcomes for defense in DEFENSES for attack in ATTACKS}
)
heights = st.integers(min_value=0, max_value=2**32 - 1)


def board_of(book: Any, table: dict[tuple[str, str], str], seed: int) -> Leaderboard | None:
    """A table whose values are drawn, 20 queries each."""
    random = np.random.default_rng(seed)
    for defense in DEFENSES:
        book.clean(defense, 0.7)
        for attack in ATTACKS:
            # As many numbers are drawn whatever came of a cell. Noise is no rival of the others.
            low = 0.5 if attack == "noise" else 0.2
            scores = random.uniform(low, low + 0.2, 20).tolist()
            if table[defense, attack] == "done":
                book.attacked(defense, attack, scores)
            elif table[defense, attack] == "failed":
                book.lost(defense, attack, REASON)
    boards = leaderboards(book.results())
    return boards[0] if boards and boards[0].can_rank else None


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(table=tables, seed=heights)
def test_every_rank_and_worst_case_is_over_the_same_attacks(
    new_book: Any, table: dict[tuple[str, str], str], seed: int
) -> None:
    book = new_book()
    board = board_of(book, table, seed)
    if board is None:
        return
    values = {r.cell: r.per_query for r in book.cells}
    ranked = [row for row in board.rows if row.rank is not None]
    for row in ranked:
        for attack in board.shared:
            assert table[row.defense, attack] == "done"
        # The minimum per query over exactly these, whatever else the row has.
        columns = [values[book.cell(row.defense, attack)] for attack in board.shared]
        assert row.worst_case.mean == pytest.approx(np.minimum.reduce(columns).mean(), abs=1e-15)
    if ranked:
        assert any(attack != "noise" for attack in board.shared)
        everywhere = [a for a in ATTACKS if all(table[r.defense, a] == "done" for r in ranked)]
        assert set(board.shared) == set(everywhere)
    # Ranks follow the worst cases as printed, and shared ones are shared.
    printed = [round(100 * (row.worst_case.mean or 0), 1) for row in ranked]
    assert [row.rank for row in ranked] == [1 + sum(v > own for v in printed) for own in printed]
    # Who is not ranked is told why: a number that counts is missing, or there is nothing to share.
    for row in board.rows:
        if row.rank is None:
            assert row.findings
            why = " ".join(finding.words for finding in row.findings)
            lacks = any(table[row.defense, attack] == "failed" for attack in board.attacks)
            assert ("shares no attack" in why) or (lacks and REASON in why)
            assert any(row.defense in note and why[:20] in note for note in notes_on(board))
        else:
            assert row.findings == ()
    # A failure that counts for nobody is told all the same.
    told = " ".join(notes_on(board))
    for row in board.rows:
        for attack in board.attacks:
            if table[row.defense, attack] == "failed":
                assert f"{row.defense}: " in told
                assert REASON in told
    if set(board.shared) != set(board.attacks):
        assert "over the attacks that all ranked rows share" in told


def test_a_second_run_with_other_attacks_spoils_no_table(quick: Any) -> None:
    """The README's second command in the folder of its first one."""
    for defense in ("cgat", "jpeg"):
        if defense == "jpeg":
            quick.clean(defense, 0.7).attacked(defense, "hag", 0.25)
        quick.attacked(defense, "random-search", 0.6)
        quick.targeted(defense, "dhta", 0.5, own=0.2)
    (board,) = leaderboards(quick.results())
    assert [(row.rank, row.defense) for row in board.rows] == [
        (1, "cgat"),
        (2, "atrdh"),
        (3, "jpeg"),
        (4, "none"),
    ]
    assert board.shared == ("hag",)
    assert [row.worst_case.mean for row in board.rows] == [0.588, 0.414, 0.25, 0.171]
    notes = notes_on(board)
    assert (
        "Ranks and worst cases are over the attacks that all ranked rows share: hag. Shown, but "
        "not counted: noise, pgd-hamming, random-search, sdha."
    ) in notes
    sheet = ranking(board)
    (column,) = (place for place, head in enumerate(sheet.header) if head == "random-search")
    assert [row[column].parts[0] for row in sheet.rows] == ["60.0", NOT_KNOWN, "60.0", NOT_KNOWN]


def test_one_row_of_noise_alone_does_not_take_the_ranks_away(quick: Any) -> None:
    quick.clean("jpeg", 0.7).attacked("jpeg", "noise", 0.69)
    (board,) = leaderboards(quick.results())
    assert board.shared == board.attacks
    assert [(row.rank, row.defense) for row in board.rows] == [
        (1, "cgat"),
        (2, "atrdh"),
        (3, "none"),
        (None, "jpeg"),
    ]
    assert "Not ranked: jpeg: it shares no attack with the rows that are ranked." in notes_on(board)


def test_a_flagged_row_decides_nothing(quick: Any) -> None:
    quick.clean("flat", 0.1, distinct_codes=1.0, bit_entropy=0.0, floor=0.1)
    quick.attacked("flat", "noise", 0.1)
    (board,) = leaderboards(quick.results())
    assert board.shared == board.attacks
    assert [row.rank for row in board.rows] == [1, 2, 3, None]


def test_a_seed_that_an_attack_lacks_keeps_it_from_counting(book: Any) -> None:
    for defense, seeds in (("none", (0,)), ("cgat", (0, 1))):
        for seed in seeds:
            book.clean(defense, 0.7, seed).attacked(defense, "hag", 0.3, seed)
        book.attacked(defense, "sdha", 0.2)
    (board,) = leaderboards(book.results())
    assert board.shared == ("hag",)
    assert {row.rank for row in board.rows} == {1}


class Counting(list[Any]):
    """How often somebody goes through all of it."""

    times = 0

    def __iter__(self) -> Any:
        self.times += 1
        return super().__iter__()


def test_a_row_goes_through_its_cells_no_oftener_for_more_attacks(new_book: Any) -> None:
    """What makes a report of many cells as long as their number, and not as its square."""
    found = set()
    for many in (2, 40):
        book = new_book().clean("none", 0.7)
        attacks = tuple(f"hag:steps={number}" for number in range(many))
        for attack in attacks:
            book.attacked("none", attack, 0.3)
        results = book.results()
        cells = Counting(results.cells)
        reader = RowReader("none", attacks, (), cells, results, "map")
        row = reader.read(attacks)
        assert row.worst_case.mean == pytest.approx(0.3)
        assert all(score.expected.status is Status.DONE for score in row.attacked)
        found.add(cells.times)
    assert len(found) == 1
