"""Code lengths, data sets and radii side by side; what several tables share is said once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from hashbench.reports.board.leaderboard import leaderboards
from hashbench.reports.text import sentences
from hashbench.reports.text.captions import captions
from hashbench.reports.text.overview import overviews
from hashbench.reports.text.sheet import Tone


def filled(book: Any, height: float = 0.0) -> Any:
    for defense, clean, left in (("none", 0.7, 0.07), ("cgat", 0.6, 0.5)):
        book.clean(defense, clean + height).attacked(defense, "hag", left + height)
    return book


def texts(overview: Any) -> list[list[str]]:
    return [[" ".join(field.parts) for field in row] for row in overview.sheet.rows]


def test_one_table_alone_is_beside_nothing(quick: Any) -> None:
    assert overviews(leaderboards(quick.results())) == ()


def test_methods_by_code_lengths(new_book: Any) -> None:
    books = [filled(new_book(bits=bits), 0.01 * place) for place, bits in enumerate((64, 16, 32))]
    (found,) = overviews(leaderboards(books[0].results(*books[1:])))
    assert found.title == "fashion, csq, small-cnn, eps 24/255, code lengths side by side"
    assert found.sheet.header == ("defense", "queries", "16 bits", "32 bits", "64 bits")
    assert texts(found) == [
        ["cgat", "clean", "61.0", "62.0", "60.0"],
        ["cgat", "worst case", "51.0", "52.0", "50.0"],
        ["none", "clean", "71.0", "72.0", "70.0"],
        ["none", "worst case", "8.0†", "9.0†", "7.0†"],
    ]
    assert {field.tone for field in found.sheet.rows[1][2:]} == {Tone.BEST}
    assert "Worst case: over hag." in found.notes
    assert "Chance, a random order: 10.0." in found.notes


def test_data_sets_stand_beside_each_other_with_their_own_scores(new_book: Any) -> None:
    books = [filled(new_book(bits=bits)) for bits in (16, 32)]
    books.append(filled(new_book(dataset="cifar10", bits=16, top_k=1000, chance=0.2)))
    (found,) = overviews(leaderboards(books[0].results(*books[1:])))
    assert found.sheet.header[2:] == ("cifar10, 16 bits", "fashion, 16 bits", "fashion, 32 bits")
    assert any("cifar10, 16 bits: mAP@1000" in note for note in found.notes)
    assert any("cifar10, 16 bits: 20.0; fashion, 16 bits: 10.0" in note for note in found.notes)


def test_what_is_never_side_by_side(new_book: Any) -> None:
    for change in ({"loss": "dph"}, {"backbone": "resnet18"}, {"training": "8" * 64}):
        books = [filled(new_book(bits=16)), filled(new_book(bits=32, **change))]
        assert overviews(leaderboards(books[0].results(books[1]))) == ()
    one, other = filled(new_book(bits=16)), new_book(bits=32)
    other.clean("none", 0.7).attacked("none", "hag", 0.1, eps="8/255")
    assert overviews(leaderboards(one.results(other))) == ()


def test_radii_side_by_side(book: Any) -> None:
    filled(book)
    book.attacked("none", "hag", 0.2, eps="8/255").attacked("cgat", "hag", 0.55, eps="8/255")
    (found,) = overviews(leaderboards(book.results()))
    assert found.title == "fashion, csq, small-cnn, 32 bits, radii side by side"
    assert found.sheet.header[2:] == ("8/255", "24/255")
    assert texts(found)[1] == ["cgat", "worst case", "55.0", "50.0"]


def test_what_is_missing_failed_or_flagged_is_said(new_book: Any) -> None:
    first, other = filled(new_book(bits=16)), new_book(bits=32)
    other.clean("cgat", 0.6).lost("cgat", "hag", "no memory")
    other.clean("flat", 0.1, distinct_codes=1.0, bit_entropy=0.0).attacked("flat", "hag", 0.1)
    (found,) = overviews(leaderboards(first.results(other)))
    table = {(row[0], row[1]): row[2:] for row in texts(found)}
    assert table["cgat", "worst case"] == ["50.0", "failed"]
    assert table["none", "clean"] == ["70.0", "-"]
    assert table["flat", "worst case"] == ["-", "10.0†!"]
    assert any("flagged" in note for note in found.notes)


def test_worst_cases_over_other_attacks_are_told_apart(new_book: Any) -> None:
    first, other = filled(new_book(bits=16)), filled(new_book(bits=32))
    other.attacked("none", "sdha", 0.05).attacked("cgat", "sdha", 0.4)
    (found,) = overviews(leaderboards(first.results(other)))
    assert "Worst case, 16 bits: over hag." in found.notes
    assert "Worst case, 32 bits: over hag, sdha." in found.notes


def test_an_attack_by_the_name_of_a_column_changes_nothing(new_book: Any) -> None:
    books = [filled(new_book(bits=bits)) for bits in (16, 32)]
    for book in books:
        for name in ("clean", "worst case", "floor"):
            book.attacked("none", name, 0.65).attacked("cgat", name, 0.58)
    (found,) = overviews(leaderboards(books[0].results(books[1])))
    assert texts(found)[0] == ["cgat", "clean", "60.0", "60.0"]
    assert texts(found)[1] == ["cgat", "worst case", "50.0", "50.0"]


def test_what_tables_share_is_said_once(rich_book: Any) -> None:
    boards = leaderboards(rich_book.results())
    found = captions(boards)
    assert found[0] == sentences.caption(boards[0])
    said = [line for lines in found for line in lines if not line.startswith("As for ")]
    assert len(set(said)) == len(said)
    for board, lines in zip(boards[1:], found[1:], strict=True):
        own = [line for line in sentences.caption(board) if line.startswith("Setting: ")]
        shared = "data, score, intervals, training, computed with."
        assert lines == (*own, f"As for the table {sentences.title(boards[0])}: {shared}")


@pytest.mark.parametrize("change", ["protocol", "training"])
def test_what_differs_is_said_again(new_book: Any, change: str) -> None:
    first = filled(new_book(bits=16))
    other = filled(new_book(bits=32, **({"query": 7} if change == "protocol" else {})))
    if change == "training":
        other = replace(filled(new_book(bits=32)), training="8" * 64, card={})
        other.cells = [
            replace(one, cell=replace(one.cell, training="8" * 64)) for one in other.cells
        ]
    found = captions(leaderboards(first.results(other)))
    words = {"protocol": "Data: ", "training": "Training: not recorded."}[change]
    assert any(line.startswith(words) for line in found[1])
