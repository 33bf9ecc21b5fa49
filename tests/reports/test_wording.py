"""What the words around a table tell: all that makes its numbers comparable, and every doubt.

Facts alone: the sentences themselves stand in the golden pages.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from hashbench.reports.board.leaderboard import Leaderboard, leaderboards
from hashbench.reports.text import sentences
from hashbench.reports.text.notes import notes_on
from hashbench.reports.text.sheets import ranking, ties
from hashbench.results.flags import Code

TRAINING: Mapping[str, Mapping[str, object]] = {
    "base": {"batch": 32, "epochs": 45, "learning_rate": 0.05, "optimizer": "sgd"},
    "budget": {"epochs": 12, "eps": "8/85", "inner_steps": 7},
    "compute": {"attack_batch": 500, "device": "cpu", "threads": 1},
}
"""The quick suite's."""


def only_board(book: Any) -> Leaderboard:
    (board,) = leaderboards(book.results())
    return board


def numbers(text: str) -> list[str]:
    """The values of a sentence, as tables print them."""
    return re.findall(r"\d+\.\d", text)


def without_hash(board: Leaderboard) -> tuple[str, ...]:
    """The caption without the hashes, which tell that two tables differ, but not in what."""
    lines = sentences.caption(board)
    for whole in (board.group.protocol, board.group.training):
        lines = tuple(line.replace(whole[: sentences.HASH], "#") for line in lines)
    return lines


OTHERS: dict[str, Mapping[str, Any]] = {
    "dataset": {"dataset": "outfits"},
    "classes": {"classes": 21},
    "queries": {"query": 501},
    "database": {"database": 10001},
    "train": {"train": 2001},
    "list": {"top_k": 5000},
    "loss": {"loss": "dpsh"},
    "backbone": {"backbone": "alexnet"},
    "bits": {"bits": 48},
    **{
        f"{table}.{key}": {"card": {**TRAINING, table: {**values, key: "other"}}}
        for table, values in TRAINING.items()
        for key in values
    },
    "new-field": {"card": {**TRAINING, "base": {**TRAINING["base"], "new_field": "x"}}},
    "checkpoint": {"card": {**TRAINING, "base": {"checkpoint": "abcdef0123456789"}}},
    "unknown-compute": {"card": {**TRAINING, "compute": {}}},
    "unknown-training": {"card": {}},
}


@pytest.mark.parametrize("change", OTHERS.values(), ids=OTHERS)
def test_the_caption_tells_whatever_makes_numbers_incomparable(
    new_book: Any, change: Mapping[str, Any]
) -> None:
    """One condition other than in the quick suite: no two captions are alike."""

    def told(**conditions: Any) -> tuple[str, ...]:
        book = new_book(**conditions).clean("none", 0.7).attacked("none", "hag", 0.3)
        return without_hash(only_board(book))

    assert told(**change) != told()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"ties": "stable"}, "ties: equal distances in the order of the database."),
        ({"normalize": "relevant"}, "AP is divided by all relevant images of the database;"),
        ({"relevance": "share all labels"}, "Relevant: share all labels."),
    ],
)
def test_the_caption_tells_how_a_score_is_made(
    quick: Any, change: Mapping[str, str], words: str
) -> None:
    results = quick.results()
    other = {key: replace(card, **change) for key, card in results.protocols.items()}
    (board,) = leaderboards(results)
    (changed,) = leaderboards(replace(results, protocols=other))
    assert without_hash(changed) != without_hash(board)
    assert words in " ".join(sentences.caption(changed))
    assert words not in " ".join(sentences.caption(board))


def test_no_field_of_the_training_is_left_out(new_book: Any) -> None:
    card = {
        "base": {"checkpoint": "abcdef0123456789"},
        "budget": {"epochs": 1, "inner_steps": 2, "eps": "3/100", "new_field": "x"},
        "compute": {},
    }
    book = new_book(card=card).clean("none", 0.7).attacked("none", "hag", 0.3)
    text = " ".join(sentences.caption(only_board(book)))
    for fact in ("abcdef01", "epochs 1", "inner steps 2", "3/100", "new field x", "not recorded"):
        assert fact in text


def test_the_caption_tells_seeds_and_eps(new_book: Any) -> None:
    def told(eps: str, seeds: tuple[int, ...]) -> tuple[str, ...]:
        book = new_book()
        for seed in seeds:
            book.clean("none", 0.7, seed).attacked("none", "hag", 0.3, seed, eps=eps)
        return without_hash(only_board(book))

    asked = [("24/255", seeds) for seeds in ((0,), (1,), (0, 1), (0, 1, 4))] + [("8/255", (0,))]
    assert len({told(eps, seeds) for eps, seeds in asked}) == len(asked)


def test_hashes_are_told_by_their_start(quick: Any) -> None:
    board = only_board(quick)
    text = " ".join(sentences.caption(board))
    for whole in (board.group.protocol, board.group.training):
        assert whole[: sentences.HASH] in text
        assert whole[: sentences.HASH + 1] not in text


@pytest.mark.parametrize(
    ("length", "shown"), [(None, "mAP over the whole ranking"), (5000, "mAP@5000")]
)
def test_map_is_never_named_without_its_list_length(
    new_book: Any, length: int | None, shown: str
) -> None:
    board = only_board(new_book(top_k=length).clean("none", 0.7).attacked("none", "hag", 0.3))
    assert sentences.metric(board) == shown
    assert all(shown in sheet.title for sheet in (ranking(board), ties(board)))


def test_eps_is_shown_as_it_was_written(book: Any) -> None:
    book.clean("none", 0.7).attacked("none", "hag", 0.3, eps="0.031")
    # The budget's radius is another one, and so stands beside it.
    assert sentences.title(only_board(book)) == (
        "fashion, csq, small-cnn, 32 bits, eps 0.031, trained at 24/255"
    )


@pytest.mark.parametrize(("best", "doubted"), [(0.43, False), (0.45, True)])
def test_a_model_whose_score_hangs_on_ties_gets_a_note(
    new_book: Any, best: float, doubted: bool
) -> None:
    """Few codes: it looks hardly attacked, since there is little to attack."""
    few = {"map(ties=worst)": 0.14, "map(ties=best)": best}
    book = new_book().clean("cgat", 0.235, **few).attacked("cgat", "hag", 0.229)
    found = notes_on(only_board(book))
    assert len(found) == doubted
    if doubted:
        assert numbers(found[0]) == ["14.0", "45.0"]


def test_an_own_budget_stands_in_the_name_and_is_pointed_at(new_book: Any) -> None:
    def told(defense: str) -> tuple[str, ...]:
        book = new_book().clean(defense, 0.7).attacked(defense, "hag", 0.3)
        return without_hash(only_board(book))

    assert told("cgat") == told("atrdh")
    assert told("cgat:epochs=30") != told("cgat")


@pytest.mark.parametrize(
    ("written", "shown"),
    [("8/85", "24/255"), ("8/255", "8/255"), ("1/2", "1/2"), ("0", "0"), ("1", "255/255")],
)
def test_a_radius_is_written_in_steps_of_a_pixel_where_it_is_one(written: str, shown: str) -> None:
    assert sentences.radius(written) == shown


def test_values_below_chance_are_explained(quick: Any) -> None:
    (note,) = notes_on(only_board(quick))
    assert note.startswith(sentences.BELOW_CHANCE)
    assert numbers(note) == ["10.0"]


def test_a_value_a_tenth_above_chance_has_no_mark(book: Any) -> None:
    book.clean("none", 0.7).attacked("none", "hag", 0.1006).attacked("none", "sdha", 0.1004)
    board = only_board(book)
    hag, sdha = (score.expected for score in board.rows[0].attacked)
    assert not sentences.marked(hag, board)
    assert sentences.marked(sdha, board)


def test_every_row_that_is_not_ranked_says_why(rich_book: Any) -> None:
    """Each finding has its line; flags come with the page that explains them."""
    board = leaderboards(rich_book.results())[-1]
    found = notes_on(board)
    lost = {row.defense: row.findings for row in board.rows if row.rank is None}
    codes = [finding.code for finding in lost["flat"]]
    assert [finding.code for finding in lost["atrdh"]] == [None]
    assert codes[:2] == [Code.CLEAN_AT_CHANCE, Code.COLLAPSED_CODES]
    for defense, findings in lost.items():
        for finding in findings:
            (line,) = [note for note in found if finding.words in note]
            assert defense in line
            assert finding.code is None or finding.code.page in line


def test_a_table_at_chance_says_that_it_shows_no_robustness(new_book: Any) -> None:
    book = new_book(dataset="outfits", chance=0.327)
    for defense in ("none", "cgat"):
        book.clean(defense, 0.327).attacked(defense, "hag", 0.327)
    board = only_board(book)
    assert board.shows_nothing
    (verdict,) = sentences.verdicts(board)
    assert numbers(verdict) == ["32.7"]


def test_a_good_table_has_no_verdict(quick: Any) -> None:
    assert sentences.verdicts(only_board(quick)) == ()


def test_all_below_chance_is_said(book: Any) -> None:
    book.clean("none", 0.7).attacked("none", "hag", 0.05)
    board = only_board(book)
    assert board.nobody_resists
    assert not board.shows_nothing
    assert len(sentences.verdicts(board)) == 1


def test_a_control_alone_is_said_to_be_one(book: Any) -> None:
    book.clean("none", 0.7).attacked("none", "noise", 0.69)
    board = only_board(book)
    assert not board.can_rank
    assert len(sentences.verdicts(board)) == 1


def test_different_seeds_are_pointed_at(book: Any) -> None:
    book.clean("none", 0.7, 0).attacked("none", "hag", 0.3, 0)
    for seed in (1, 2):
        book.clean("cgat", 0.7, seed).attacked("cgat", "hag", 0.4, seed)
    (note,) = notes_on(only_board(book))
    assert note.endswith(": cgat 1, 2; none 0.")


def test_an_attack_weaker_than_noise_is_pointed_at(book: Any) -> None:
    book.clean("none", 0.7).attacked("none", "noise", 0.6).attacked("none", "hag", 0.65)
    book.attacked("none", "sdha", 0.3)
    (note,) = notes_on(only_board(book))
    assert numbers(note) == ["65.0", "60.0"]
    assert "hag" in note


def test_foreign_text_is_brought_to_one_line_without_control_characters() -> None:
    text = "a\n\tb\x1b[31mred\x1b[0m \x00c \u202eevil\u2066"
    assert sentences.one_line(text) == r"a bred \x00c \u202eevil\u2066"


def test_a_long_reason_is_cut_and_says_so() -> None:
    words = sentences.shortened("x" * 1000)
    assert words.startswith("x" * sentences.LONGEST_REASON + " [...]")
    assert len(words) < 500
    assert sentences.shortened("x" * sentences.LONGEST_REASON) == "x" * sentences.LONGEST_REASON
