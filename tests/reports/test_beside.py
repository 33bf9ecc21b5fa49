"""Measured beside published: what is matched, what the difference is, how it is laid out."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from hashbench import plugins
from hashbench.errors import UsageError
from hashbench.reports.board.leaderboard import leaderboards
from hashbench.reports.board.over_seeds import collect
from hashbench.reports.board.row import Score
from hashbench.reports.papers.comparison import Pair, comparisons
from hashbench.reports.papers.published import COLUMNS, PublishedRow, Stated, shipped
from hashbench.reports.papers.section import Section, letters, section
from hashbench.results.results import Results

HEADS = ["bits", "defense", "attack", "measured", "published", "difference", "differs"]
TITLE = "Beside published numbers"
SAAT = "SAAT (TIFS 2023)"


def published(**changes: object) -> PublishedRow:
    """A clean, undefended 32-bit number of a paper that states everything; text is `Stated`."""
    given: dict[str, Any] = {
        "source": "P",
        "table": "1",
        "dataset": "flickr25k",
        "queries": "1700",
        "train": "5000",
        "database": "23300",
        "loss": "dph",
        "backbone": "alexnet",
        "bits": 32,
        "defense": "none",
        "attack": "hag",
        "eps": "8/255",
        "metric": "map@5000",
        "percent": "50.00",
        **changes,
    }
    plain = ("source", "table", "dataset", "bits", "metric")
    values: dict[str, Any] = {
        key: value if key in plain else Stated.parse(str(value)) for key, value in given.items()
    }
    return PublishedRow(**{**values, "percent": Decimal(str(given["percent"]))})


def pairs(results: Results, rows: Iterable[PublishedRow]) -> list[Pair]:
    return [
        pair
        for table in comparisons(results, list(rows), leaderboards(results))
        for pair in table.pairs
    ]


def beside(results: Results, *files: Path) -> Section:
    found = section(results, leaderboards(results), files)
    assert found is not None
    return found


def render(name: str, results: Results, width: int | None = None, **parameters: object) -> str:
    form = plugins.get("format", name, **parameters)
    assert isinstance(form, plugins.Format)
    return form.render(results, width=width)


# Matching.


def test_equal_names_bits_metric_and_radius_are_a_match_and_nothing_else_is(paper: Any) -> None:
    """Every combination of everything that counts, against an independent rule."""
    axes = {
        "dataset": ("flickr25k", "nus-wide"),
        "bits": (16, 32),
        "defense": ("none", "cgat"),
        "attack": ("none", "hag"),
        "eps": ("0", "8/255", "0.031", "16/510", "unknown"),
        "metric": ("map@5000", "map", "t-map@5000"),
    }
    rows = [
        published(**dict(zip(axes, values, strict=True)))
        for values in itertools.product(*axes.values())
        if (values[3] == "none") == (values[4] == "0")
    ]
    books = []
    for dataset, bits, top_k in (
        ("flickr25k:size=64", 16, 5000),
        ("flickr25k", 32, None),
        ("nus-wide", 32, 5000),
    ):
        book = paper(dataset=dataset, bits=bits, top_k=top_k)
        book.clean("none", 0.7).attacked("none", "hag:steps=7", 0.3, eps="8/255")
        book.clean("cgat:weight=2.0", 0.7).attacked("cgat:weight=2.0", "hag", 0.3, eps="0.031")
        books.append(book)
    results = books[0].results(*books[1:])
    expected = set()
    for result, row in itertools.product(results.cells, rows):
        cell = result.cell
        same = (
            cell.dataset.split(":")[0] == row.dataset
            and cell.bits == row.bits
            and cell.defense.split(":")[0] == row.defense.text
            and cell.attack.split(":")[0] == row.attack.text
            and results.metric(cell) == row.metric
            and row.eps.known
            and Fraction(cell.eps) == Fraction(row.eps.text)
        )
        if same:
            expected.add((cell.defense, cell.attack, row))
    found = [(pair.defense, pair.attack, pair.published) for pair in pairs(results, rows)]
    # Per book: a clean one for each defense, 8/255 and 16/510 for none, 0.031 for cgat.
    assert len(expected) == 3 * (2 + 2 + 1)
    assert set(found) == expected


def test_another_spelling_of_the_radius_is_the_same_and_a_near_one_is_not(paper: Any) -> None:
    book = paper().clean("none", 0.7).attacked("none", "hag", 0.3, eps="0.031")
    attacked = [published(eps=eps) for eps in ("8/255", "0.031", "0.0310", "31/1000")]
    found = [pair.published for pair in pairs(book.results(), attacked)]
    assert found == attacked[1:]


def test_an_attack_with_a_target_stands_beside_t_map_alone(paper: Any) -> None:
    book = paper().clean("none", 0.7).attacked("none", "hag", 0.3, eps="8/255")
    rows = [published(), published(metric="t-map@5000")]
    assert [pair.published for pair in pairs(book.results(), rows)] == rows[:1]
    book = paper().clean("none", 0.7).targeted("none", "hag", 0.8, own=0.3, eps="8/255")
    (pair,) = pairs(book.results(), rows)
    assert pair.published == rows[1]
    assert (pair.percent, pair.difference) == (Decimal("80.00"), Decimal("30.00"))
    assert pair.measured.worst.mean == pytest.approx(0.7)
    assert pair.measured.best.mean == pytest.approx(0.9)


def test_an_attack_of_both_aims_stands_beside_both_numbers(paper: Any) -> None:
    book = paper().clean("none", 0.7).attacked("none", "mainstay", 0.2, eps="8/255")
    book.targeted("none", "mainstay:targeted=true", 0.8, own=0.3, eps="8/255")
    rows = [published(attack="mainstay", metric=name) for name in ("map@5000", "t-map@5000")]
    found = {
        pair.published.metric: (pair.attack, pair.percent) for pair in pairs(book.results(), rows)
    }
    assert found == {
        "map@5000": ("mainstay", Decimal("20.00")),
        "t-map@5000": ("mainstay:targeted=true", Decimal("80.00")),
    }


def test_clean_numbers_stand_in_the_table_of_every_radius_and_once(paper: Any) -> None:
    book = paper().clean("none", 0.7)
    for eps in ("2/255", "8/255", "16/255"):
        book.attacked("none", "hag", 0.3, eps=eps)
    clean = published(attack="none", eps="0")
    results = book.results()
    boards = leaderboards(results)
    (alone,) = comparisons(results, [clean], boards)
    assert alone.group.eps == "0"
    assert [pair.attack for pair in alone.pairs] == ["none"]
    both = comparisons(results, [clean, published(), published(eps="16/255")], boards)
    assert [table.group.eps for table in both] == ["8/255", "16/255"]
    assert [[pair.attack for pair in table.pairs] for table in both] == [["none", "hag"]] * 2


def test_order_is_that_of_the_file(paper: Any) -> None:
    book = paper()
    for defense, value in (("none", 0.1), ("cgat", 0.5)):
        book.clean(defense, 0.7).attacked(defense, "hag", value, eps="8/255")
        book.attacked(defense, "sdha", value, eps="8/255")
    rows = [
        published(defense=defense, attack=attack)
        for defense, attack in itertools.product(("none", "cgat"), ("sdha", "hag"))
    ]
    for order in (rows, rows[::-1]):
        assert [pair.published for pair in pairs(book.results(), order)] == order


# Differences.


@given(
    share=st.floats(0, 1),
    percent=st.decimals(0, 100, places=2) | st.decimals(0, 100, places=1) | st.integers(0, 100),
)
def test_the_difference_is_that_of_the_printed_numbers(
    share: float, percent: Decimal | int
) -> None:
    entry = collect({0: share})
    row = published(percent=percent)
    pair = Pair(row, 0, "none", "hag", Score(entry, entry, entry), ())
    assert pair.percent is not None
    assert pair.difference == Decimal(str(pair.percent)) - Decimal(str(row.percent))
    unit = Fraction(1, 10**pair.decimals)
    assert abs(Fraction(pair.percent) - 100 * Fraction(share)) <= unit / 2 + Fraction(1, 10**12)
    assert -pair.percent.as_tuple().exponent == pair.decimals  # type: ignore[operator]


@pytest.mark.parametrize(
    ("value", "percent", "cells"),
    [
        (0.81266, "81.33", ["81.27", "81.33", "-0.06"]),
        (0.81334, "81.33", ["81.33", "81.33", "0.00"]),
        (0.5, "41.9", ["50.0", "41.9", "+8.1"]),
        (0.5, "41", ["50.0", "41", "+9.0"]),
        (0.099, "10.00", ["9.90", "10.00", "-0.10"]),
    ],
)
def test_numbers_are_printed_with_the_digits_of_the_source(
    paper: Any, tmp_path: Path, value: float, percent: str, cells: list[str]
) -> None:
    book = paper().clean("none", 0.7).attacked("none", "hag", value, eps="8/255")
    file = write(tmp_path, published(percent=percent))
    (row,) = [
        row for part in beside(book.results(), file).parts for row in part.sheet.rows if own(part)
    ]
    assert [row[3].parts[0], row[4].parts[0], row[5].parts[0]] == cells


def write(folder: Path, *rows: PublishedRow) -> Path:
    path = folder / "p.csv"
    lines = [",".join(f'"{getattr(row, column)}"' for column in COLUMNS) for row in rows]
    path.write_text("\n".join([",".join(COLUMNS), *lines]), encoding="utf-8")
    return path


def own(part: Any) -> bool:
    return bool(part.title.startswith("P, table 1"))


def test_seeds_are_averaged_and_ties_bounded(paper: Any) -> None:
    book = paper()
    for seed, value in enumerate((0.2, 0.24)):
        book.clean("none", 0.8, seed).attacked("none", "hag:steps=2000", value, seed, eps="8/255")
    (part,) = beside(book.results()).parts
    hag = part.sheet.rows[1]
    # Mean 22, deviation sqrt(2) * 2; conftest's ties are 2 points down and 3 up. Published: 21.68.
    assert hag[3].parts == ("22.00", "±2.8", "[20.0, 25.0]")
    assert hag[5].parts == ("+0.32",)


# What differs.


def differs(book: Any, row: PublishedRow) -> tuple[str, ...]:
    (pair,) = pairs(book.results(), [row])
    return pair.differs


def test_the_papers_own_conditions_differ_in_nothing(paper: Any) -> None:
    book = paper().clean("none", 0.8).attacked("none", "hag:steps=2000", 0.2, eps="8/255")
    for row in (
        published(attack="hag:steps=2000"),
        published(attack="hag:steps=2000?", loss="dph?", queries="1700?"),
    ):
        assert differs(book, row) == ()


@pytest.mark.parametrize(
    ("changes", "stated", "words"),
    [
        ({"loss": "csq"}, {}, "loss csq, paper dph"),
        ({"loss": "csq"}, {"loss": "dph?"}, "loss csq, paper dph?"),
        ({}, {"loss": "unknown"}, "loss dph, paper unknown"),
        ({"loss": "dph:x=1"}, {"loss": "dph:x=2"}, "loss dph:x=1, paper dph:x=2"),
        ({"backbone": "small-cnn"}, {}, "backbone small-cnn, paper alexnet"),
        ({"query": 500}, {}, "500 queries, paper 1,700"),
        ({"train": 2000}, {"train": "5000?"}, "2,000 to train on, paper 5,000?"),
        ({}, {"database": "unknown"}, "23,300 in the database, paper unknown"),
        ({"dataset": "flickr25k:size=64"}, {}, "data set flickr25k:size=64, paper flickr25k"),
        ({}, {"attack": "hag:steps=2000?"}, "attack hag, paper hag:steps=2000?"),
        ({}, {"eps": "8/255?"}, "eps 8/255, paper 8/255?"),
        (
            {"query": 500, "loss": "csq"},
            {},
            "500 queries, paper 1,700; loss csq, paper dph",
        ),
    ],
)
def test_every_condition_that_differs_is_told(
    paper: Any, changes: dict[str, Any], stated: dict[str, str], words: str
) -> None:
    book = paper(**changes).clean("none", 0.8).attacked("none", "hag", 0.2, eps="8/255")
    assert differs(book, published(**stated)) == (words,)


@pytest.mark.parametrize(
    ("budget", "measured", "words"),
    [
        # conftest grants 12 epochs and 7 steps at 24/255.
        ({}, "cgat", ("defense cgat:epochs=12,eps=24/255, paper cgat:epochs=30,eps=8/255?",)),
        ({}, "cgat:epochs=30", ("defense cgat:eps=24/255, paper cgat:eps=8/255?",)),
        ({}, "cgat:epochs=30,eps=8/255,weight=2.0", ()),
        ({"epochs": 30, "inner_steps": 7, "eps": "16/510"}, "cgat", ()),
        (None, "cgat:epochs=30", ("defense cgat:eps=default, paper cgat:eps=8/255?",)),
    ],
)
def test_what_a_defense_was_granted_counts_as_its_own(
    paper: Any, budget: dict[str, Any] | None, measured: str, words: tuple[str, ...]
) -> None:
    book = paper()
    if budget is None:
        book.card = {}
    elif budget:
        book.card = {**book.card, "budget": budget}
    book.clean(measured, 0.8).attacked(measured, "hag", 0.2, eps="8/255")
    assert differs(book, published(defense="cgat:epochs=30,eps=8/255?")) == words


def test_a_model_that_is_not_ranked_is_pointed_at(paper: Any) -> None:
    book = paper().clean("none", 0.534).attacked("none", "hag", 0.534, eps="8/255")
    (words,) = differs(book, published())
    assert words == "the measured model is flagged: clean-at-chance, robust-at-chance"


def test_the_column_names_the_notes_below(paper: Any) -> None:
    book = paper(loss="csq").clean("none", 0.8)
    book.attacked("none", "hag", 0.2, eps="8/255").attacked("none", "mainstay", 0.2, eps="8/255")
    (part,) = beside(book.results()).parts
    assert [" ".join(row[6].parts) for row in part.sheet.rows] == ["a", "a, b", "a"]
    assert part.legend == (
        "a: loss csq, paper dph?.",
        "b: attack hag, paper hag:steps=2000,learning_rate=0.78125?.",
    )


def test_letters_go_on_behind_z() -> None:
    assert [letters(place) for place in (0, 25, 26, 51, 52, 701, 702)] == [
        "a",
        "z",
        "aa",
        "az",
        "ba",
        "zz",
        "aaa",
    ]


def test_variants_of_one_name_are_told_apart(paper: Any) -> None:
    book = paper().clean("none", 0.8)
    book.attacked("none", "hag:steps=2000", 0.2, eps="8/255")
    (part,) = beside(book.results()).parts
    assert [row[2].parts[0] for row in part.sheet.rows] == ["none", "hag"]
    book.attacked("none", "hag", 0.3, eps="8/255")
    (part,) = beside(book.results()).parts
    assert [row[2].parts[0] for row in part.sheet.rows] == ["none", "hag", "hag:steps=2000"]


# What stands in one table.


def test_two_protocols_and_two_trainings_never_share_a_table(paper: Any) -> None:
    books = [paper(), paper(query=500), paper(training="8" * 64), paper(loss="csq")]
    for place, book in enumerate(books):
        book.clean("none", 0.7 + 0.01 * place)
        book.attacked("none", "mainstay", 0.2 + 0.01 * place, eps="8/255")
    found = beside(books[0].results(*books[1:]))
    assert len(found.parts) == 4
    for part in found.parts:
        (value,) = {int(Decimal(row[3].parts[0])) % 10 for row in part.sheet.rows}
        book = books[value]
        assert len(part.sheet.rows) == 2
        hashes = f"protocol {book.protocol.hash[:8]}, training {book.training[:8]}"
        assert any(hashes in line for line in part.conditions)
    # Numbers that stand in four tables are still two of the paper's.
    assert found.notes[-1] == (
        f"{SAAT}: 2 of 204 published numbers stand here; 202 have no measured counterpart."
    )


def test_code_lengths_share_a_table(paper: Any) -> None:
    books = [paper(bits=bits) for bits in (16, 32, 48)]
    for book in books:
        book.clean("none", 0.7)
    (part,) = beside(books[0].results(*books[1:])).parts
    assert [row[0].parts[0] for row in part.sheet.rows] == ["16", "32", "48"]


def test_only_what_was_asked_for_is_shown(paper: Any) -> None:
    book = paper().clean("none", 0.8).attacked("none", "sdha:steps=1500", 0.2, eps="8/255")
    book.clean("saat", 0.7).attacked("saat", "mainstay", 0.5, eps="8/255")
    rows = [row for part in beside(book.results()).parts for row in part.sheet.rows]
    # The leaderboard has sdha under saat and mainstay under none as 'not run': nobody asked.
    assert [(row[1].parts[0], row[2].parts[0]) for row in rows] == [
        ("none", "none"),
        ("none", "sdha"),
        ("saat", "none"),
        ("saat", "mainstay"),
    ]


@pytest.mark.parametrize("name", ["terminal", "markdown"])
def test_nothing_published_gives_no_section(quick: Any, paper: Any, name: str) -> None:
    assert TITLE not in render(name, quick.results(), 80)
    # The data set and the defense are the paper's, the code length and the radius are not.
    assert TITLE not in render(name, paper(bits=24).clean("none", 0.8).results(), 80)
    lost = paper().lost("none", "none", "no disk").lost("none", "hag", "no disk", eps="8/255")
    assert TITLE not in render(name, lost.results(), 80)
    assert TITLE in render(name, paper().clean("none", 0.8).results(), 80)


def test_a_failed_cell_is_shown_and_has_no_difference(paper: Any) -> None:
    book = paper().clean("none", 0.8).lost("none", "mainstay", "no disk", eps="8/255")
    found = beside(book.results())
    (part,) = found.parts
    assert [field.parts for field in part.sheet.rows[1][3:6]] == [("failed",), ("14.53",), ("-",)]
    assert found.notes[-1].startswith(f"{SAAT}: 1 of 204 published numbers stand here; 203 have")


def test_a_failed_seed_withholds_the_difference(paper: Any) -> None:
    book = paper()
    for seed in range(3):
        book.clean("none", 0.8, seed)
        if seed < 2:
            book.attacked("none", "mainstay", 0.2, seed, eps="8/255")
    book.lost("none", "mainstay", "no disk", 2, eps="8/255")
    (part,) = beside(book.results()).parts
    mainstay = part.sheet.rows[1]
    assert mainstay[3].parts == ("20.00", "±0.0", "[18.0, 23.0]", "1 of 3", "failed")
    assert mainstay[5].parts == ("-",)


def test_the_order_of_the_cells_does_not_matter(paper: Any) -> None:
    book = full(paper, seeds=2)
    expected = render("terminal", book.results(), 80)
    assert render("terminal", book.results(order=lambda cells: cells[::-1]), 80) == expected


# Layout.


def full(paper: Any, seeds: int, **changes: Any) -> Any:
    book = paper(**changes)
    for seed in range(seeds):
        for defense in ("none", "atrdh:epochs=100,inner_steps=7,eps=8/255", "saat"):
            book.clean(defense, 0.8 + 0.01 * seed, seed)
            for attack in ("hag", "sdha:steps=1500", "mainstay"):
                book.attacked(defense, attack, 0.3 + 0.01 * seed, seed, eps="8/255")
    return book


def tables(text: str) -> list[list[list[str]]]:
    """The section's tables as lists of words: heads, then rows. The ranking follows them."""
    found: list[list[list[str]]] = []
    section, _, _ = text[text.index(TITLE) :].partition("\n\nflickr25k, ")
    for line in section.splitlines():
        words = line.split()
        if words[:1] == ["bits"]:
            found.append([words])
        elif found and words and words[0].isdigit():
            found[-1].append(words)
    return found


@pytest.mark.parametrize("seeds", [1, 3])
def test_80_columns_hold_whole_tables_and_whole_words(paper: Any, seeds: int) -> None:
    text = render("terminal", full(paper, seeds).results(), 80)
    assert max(cell_len(line) for line in text.splitlines()) <= 80
    one, two = tables(text)
    assert one[0] == two[0] == HEADS
    assert [row[:3] for row in one[1:]] == [
        ["32", "none", attack] for attack in ("none", "hag", "sdha", "mainstay")
    ]
    assert [row[:3] for row in two[1:]] == [
        ["32", defense, attack]
        for defense in ("atrdh", "saat")
        for attack in ("none", "hag", "sdha", "mainstay")
    ]
    spread = r"±1\.0 " if seeds == 3 else ""
    number = r"(\d+\.\d\d)"
    bounds = r"\[\d+\.\d, \d+\.\d\]"
    for row in (*one[1:], *two[1:]):
        values = re.fullmatch(
            rf"{number} {spread}{bounds} {number} ([+-]\d+\.\d\d)( [a-z](, [a-z])*)?",
            " ".join(row[3:]),
        )
        assert values, row
        measured, paper_value, difference = map(Decimal, values.groups()[:3])
        assert measured - paper_value == difference


@pytest.mark.parametrize("width", [*range(40, 110, 7), None])
def test_any_width_holds_every_column_and_no_broken_head(paper: Any, width: int | None) -> None:
    text = render("terminal", full(paper, 3, bits=16).results(), width)
    if width is not None:
        assert max(cell_len(line) for line in text.splitlines()) <= width
    heads = {word for table in tables(text) for word in table[0]}
    assert heads == set(HEADS)
    for row in shipped():
        wanted = (row.dataset, row.bits, row.metric) == ("flickr25k", 16, "map@5000")
        if wanted and row.attack.text.partition(":")[0] in ("none", "hag", "sdha", "mainstay"):
            assert str(row.percent) in text


@pytest.mark.parametrize("width", [1, 40, 55, 70, 80, 120])
def test_long_names_never_make_a_line_too_wide(paper: Any, width: int) -> None:
    book = full(paper, 3)
    book.clean("atrdh:epochs=100,inner_steps=70", 0.7)
    book.attacked("none", "mainstay:steps=123456,step_size=0.000123", 0.3, eps="8/255")
    text = render("terminal", book.results(), width)
    assert max(cell_len(line) for line in text.splitlines()) <= max(width, 40)
    assert {word for table in tables(text) for word in table[0]} == set(HEADS)


def test_markdown_has_the_same_tables(paper: Any) -> None:
    text = render("markdown", full(paper, 1).results())
    after = text[text.index(f"## {TITLE}") :]
    assert after.count("### SAAT (TIFS 2023), table I") == 2
    lines = [line for line in after.splitlines() if line.startswith("|")]
    assert [cell.strip() for cell in lines[0].strip("|").split("|")] == HEADS
    assert {line.count("|") for line in lines} == {len(HEADS) + 1}
    assert "| 32 | none | none | 80.00 [76.0, 85.0] | 82.28 | -2.28 |  |" in lines
    assert "| 32 | none | hag | 30.00 [28.0, 33.0] | 21.68 | +8.32 | a |" in lines
    assert "- a: attack hag, paper hag:steps=2000,learning_rate=0.78125?." in after
    assert "stands behind what the source does not state" in after


def test_what_the_paper_states_is_shown_even_where_nothing_differs(paper: Any) -> None:
    book = paper().clean("none", 0.8)
    (part,) = beside(book.results()).parts
    assert part.legend == ()
    assert part.conditions[-1] == (
        "Published: 1,700? queries against 23,300? images, 5,000? to train on; loss dph?, "
        "backbone alexnet?."
    )


@pytest.mark.parametrize("name", ["terminal", "markdown"])
def test_further_files_are_read_and_hostile_ones_stay_text(
    paper: Any, tmp_path: Path, name: str
) -> None:
    source = "Evil | <b>x</b>\x1b[31m `code`"
    file = write(tmp_path, published(source=source, table="*2*", attack="none", eps="0"))
    text = render(name, paper().clean("none", 0.8).results(), 200, published=(str(file),))
    assert "\x1b" not in text
    if name == "markdown":
        assert r"### Evil \| &lt;b&gt;x&lt;/b&gt; \`code\`, table \*2\*: flickr25k" in text
    else:
        assert "Evil | <b>x</b> `code`, table *2*: flickr25k, dph" in text
    assert "1 of 1 published numbers stand here; 0 have no measured counterpart." in text
    assert f"{SAAT}: 1 of 204" in text


@pytest.mark.parametrize("name", ["terminal", "markdown"])
def test_a_bad_file_stops_the_report(paper: Any, tmp_path: Path, name: str) -> None:
    file = tmp_path / "bad.csv"
    file.write_text("source,percent\n")
    with pytest.raises(UsageError, match=r"bad\.csv, line 1: expected the columns"):
        render(name, paper().clean("none", 0.8).results(), 80, published=(str(file),))


def test_csv_knows_no_published_numbers(paper: Any) -> None:
    with pytest.raises(UsageError, match="format 'csv' has no parameter 'published'"):
        plugins.get("format", "csv", published=("p.csv",))
    text = render("csv", paper().clean("none", 0.8).results())
    assert SAAT not in text
