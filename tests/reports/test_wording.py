"""The words around a table: everything that makes its numbers comparable, and every doubt."""

from __future__ import annotations

from typing import Any

import pytest

from hashbench.reports.board.leaderboard import Leaderboard, leaderboards
from hashbench.reports.text import sentences


def only_board(book: Any) -> Leaderboard:
    (board,) = leaderboards(book.results())
    return board


def test_the_caption_holds_what_makes_numbers_comparable(quick: Any) -> None:
    board = only_board(quick)
    text = " ".join(sentences.caption(board))
    for part in (
        "fashion, 10 classes",
        "500 queries",
        "10,000 images",
        "2,000 to train on",
        "share at least one label",
        board.group.protocol[:8],
        "mAP over the whole ranking (map)",
        "(retrieved)",
        "(expected)",
        "loss csq",
        "backbone small-cnn",
        "32 bits",
        "eps 24/255",
        "Seed 0.",
        "base model epochs 45",
        "Every trained defense got the same budget on top: epochs 12, inner steps 7, radius 24/255",
        "threads per cell 1, attack batch 500, device cpu",
        board.group.training[:8],
    ):
        assert part in text


def test_map_is_never_named_without_its_list_length(new_book: Any) -> None:
    book = new_book(top_k=5000).clean("none", 0.7).attacked("none", "hag", 0.3)
    text = " ".join(sentences.caption(only_board(book)))
    assert "mAP@5000 (map@5000)" in text
    assert "whole ranking" not in text


def test_eps_is_shown_as_it_was_written(book: Any) -> None:
    book.clean("none", 0.7).attacked("none", "hag", 0.3, eps="0.031")
    # The budget's radius is another one, and so stands beside it.
    assert sentences.title(only_board(book)) == (
        "fashion, csq, small-cnn, 32 bits, eps 0.031, trained at 24/255"
    )


def test_a_model_whose_score_hangs_on_ties_gets_a_note(new_book: Any) -> None:
    """Few codes: it looks hardly attacked, since there is little to attack."""
    book = new_book().clean("none", 0.7).attacked("none", "hag", 0.3)
    assert "order of ties" not in " ".join(sentences.notes(only_board(book)))
    few = {"map(ties=worst)": 0.14, "map(ties=best)": 0.82, "distinct-codes": 60.0}
    book.clean("cgat", 0.235, **few).attacked("cgat", "hag", 0.229)
    (note,) = [note for note in sentences.notes(only_board(book)) if "order of ties" in note]
    assert "On cgat, the clean mAP lies anywhere from 14.0 to 82.0" in note


def test_the_number_of_seeds_is_told(book: Any) -> None:
    for seed in (0, 1, 4):
        book.clean("none", 0.7, seed).attacked("none", "hag", 0.3, seed)
    text = " ".join(sentences.caption(only_board(book)))
    assert "Seeds 0, 1, 4: mean ± sample standard deviation over 3 seeds" in text


def test_an_own_budget_is_pointed_at(book: Any) -> None:
    book.clean("cgat:epochs=30", 0.7).attacked("cgat:epochs=30", "hag", 0.3)
    assert "changed of it stands in its name" in " ".join(sentences.caption(only_board(book)))


def test_no_field_of_the_training_is_left_out(new_book: Any) -> None:
    card = {
        "base": {"checkpoint": "abcdef0123456789"},
        "budget": {"epochs": 1, "inner_steps": 2, "eps": "3/100", "new_field": "x"},
        "compute": {},
    }
    book = new_book(card=card).clean("none", 0.7).attacked("none", "hag", 0.3)
    text = " ".join(sentences.caption(only_board(book)))
    assert "from a checkpoint (weights abcdef01)" in text
    assert "radius 3/100, new field x" in text
    assert "Computed with: not recorded" in text


def test_a_training_that_is_not_recorded_is_no_error(new_book: Any) -> None:
    book = new_book(card={}).clean("none", 0.7).attacked("none", "hag", 0.3)
    assert "Training: not recorded." in sentences.caption(only_board(book))


@pytest.mark.parametrize(
    ("written", "shown"),
    [("8/85", "24/255"), ("8/255", "8/255"), ("1/2", "1/2"), ("0", "0"), ("1", "255/255")],
)
def test_a_radius_is_written_in_steps_of_a_pixel_where_it_is_one(written: str, shown: str) -> None:
    assert sentences.radius(written) == shown


def test_values_below_chance_are_explained(quick: Any) -> None:
    (note,) = sentences.notes(only_board(quick))
    assert note.startswith("† at or below chance (10.0)")


def test_a_value_a_tenth_above_chance_has_no_mark(book: Any) -> None:
    book.clean("none", 0.7).attacked("none", "hag", 0.1006).attacked("none", "sdha", 0.1004)
    board = only_board(book)
    hag, sdha = (score.expected for score in board.rows[0].attacked)
    assert not sentences.marked(hag, board)
    assert sentences.marked(sdha, board)


def test_every_row_that_is_not_ranked_says_why(rich_book: Any) -> None:
    board = leaderboards(rich_book.results())[-1]
    text = "\n".join(sentences.notes(board))
    assert (
        "Not ranked: atrdh: sdha (seed 1) failed: attack 'sdha' must return finite images." in text
    )
    assert "! flagged: something speaks against the numbers of this row, and it is not" in text
    assert "flat: clean-at-chance: seed 0: its clean mAP, 10.0, is at chance (10.0;" in text
    assert "; likewise seeds 1, 2. See docs/flags.md#clean-at-chance." in text
    assert "See docs/flags.md#collapsed-codes." in text


def test_a_table_at_chance_says_that_it_shows_no_robustness(new_book: Any) -> None:
    book = new_book(dataset="outfits", chance=0.327)
    for defense in ("none", "cgat"):
        book.clean(defense, 0.327).attacked(defense, "hag", 0.327)
    (verdict,) = sentences.verdicts(only_board(book))
    assert verdict.startswith("This table shows no robustness: every model is at chance (32.7)")


def test_a_good_table_has_no_verdict(quick: Any) -> None:
    assert sentences.verdicts(only_board(quick)) == ()


def test_all_below_chance_is_said(book: Any) -> None:
    book.clean("none", 0.7).attacked("none", "hag", 0.05)
    assert sentences.verdicts(only_board(book))[0].startswith("No model here resists")


def test_a_control_alone_is_said_to_be_one(book: Any) -> None:
    book.clean("none", 0.7).attacked("none", "noise", 0.69)
    assert sentences.verdicts(only_board(book)) == (
        "noise is a control and the only attack, so nothing is ranked.",
    )


def test_different_seeds_are_pointed_at(book: Any) -> None:
    book.clean("none", 0.7, 0).attacked("none", "hag", 0.3, 0)
    for seed in (1, 2):
        book.clean("cgat", 0.7, seed).attacked("cgat", "hag", 0.4, seed)
    assert "The rows rest on different seeds: cgat 1, 2; none 0." in sentences.notes(
        only_board(book)
    )


def test_an_attack_weaker_than_noise_is_pointed_at(book: Any) -> None:
    book.clean("none", 0.7).attacked("none", "noise", 0.6).attacked("none", "hag", 0.65)
    book.attacked("none", "sdha", 0.3)
    (note,) = sentences.notes(only_board(book))
    assert note.startswith("On none, hag (65.0) does less than random noise (60.0)")


def test_foreign_text_is_brought_to_one_line_without_control_characters() -> None:
    text = "a\n\tb\x1b[31mred\x1b[0m \x00c \u202eevil\u2066"
    assert sentences.one_line(text) == "a bred c evil"


def test_a_long_reason_is_cut_and_says_so() -> None:
    words = sentences.shortened("x" * 1000)
    assert len(words) < 500
    assert "csv report" in words
