"""Formats of text: what fits where, and what cannot break out of its cell."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from hashbench import plugins
from hashbench.characters import shown
from hashbench.reports.board.leaderboard import leaderboards
from hashbench.results.flags import Code
from hashbench.results.results import Results

TEXTS = [
    name
    for name in plugins.names("format")
    if isinstance(form := plugins.get("format", name), plugins.Format) and form.is_text
]
"""Every format of one text: a new one is tested by being there."""

ATTACKS = ("noise", "hag", "pgd-hamming", "sdha")
ANSI = "\x1b["
HOSTILE = "evil|x<script>alert(1)</script>`code`[a](http://b)**bold** # h\n| --- |\n\x1b[31m"


def render(name: str, results: Results, width: int | None = None, **parameters: object) -> str:
    form = plugins.get("format", name, **parameters)
    assert isinstance(form, plugins.Format)
    return form.render(results, width=width)


def assert_fits(text: str, width: int) -> None:
    assert max(cell_len(line) for line in text.splitlines()) <= width
    assert "…" not in text
    assert "..." not in text


def test_the_quick_suite_is_one_table_in_80_columns(quick: Any) -> None:
    text = render("terminal", quick.results(), 80)
    assert_fits(text, 80)
    lines = text.splitlines()
    heads = [line.split() for line in lines if line.startswith("#")]
    assert heads == [["#", "defense", "clean", *ATTACKS, "worst", "case", "chance", "floor"]]
    start = next(place for place, line in enumerate(lines) if line.startswith("#"))
    assert [line.split() for line in lines[start + 2 : start + 5]] == [
        ["1", "cgat", "68.3", "67.9", "58.8", "51.9", "60.2", "51.9", "10.0", "5.0"],
        ["2", "atrdh", "71.1", "70.2", "41.4", "33.8", "43.1", "33.8", "10.0", "5.0"],
        ["3", "none", "72.2", "70.1", "17.1", "7.1†", "21.2", "7.1†", "10.0", "5.0"],
    ]


def test_three_seeds_of_the_quick_suite_are_one_table_in_80_columns(new_book: Any) -> None:
    book = new_book()
    for seed in range(3):
        for defense in ("none", "atrdh", "cgat"):
            book.clean(defense, 0.7 + 0.01 * seed, seed)
            for attack in ("noise", "hag", "sdha", "pgd-hamming"):
                book.attacked(defense, attack, 0.5 + 0.01 * seed, seed)
    text = render("terminal", book.results(), 80)
    assert_fits(text, 80)
    assert sum(line.startswith("#") for line in text.splitlines()) == 1
    # Mean 51.0, deviation 1.0.
    assert "51.0" in text
    assert "±1.0" in text


@pytest.mark.parametrize("width", [80, 100, 120, 200])
def test_long_names_and_failures_fit_and_lose_no_column(rich_book: Any, width: int) -> None:
    text = render("terminal", rich_book.results(), width)
    assert_fits(text, width)
    squeezed = re.sub(r"[\s─]+", "", text)
    for word in ("inner_steps=14,", "weight=0.5", "steps=20", "1of3failed", "chance", "floor"):
        assert word in squeezed
    said = " ".join(text.split())
    assert said.count("must return finite images") == 1
    assert said.count(f"flat: {Code.CLEAN_AT_CHANCE}: ") == 5


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(width=st.integers(1, 300), attacks=st.integers(1, 12), long=st.booleans())
def test_no_line_is_ever_wider_than_the_terminal(
    new_book: Any, width: int, attacks: int, long: bool
) -> None:
    book = new_book()
    name = "d" * 60 if long else "cgat"
    book.clean(name, 0.7)
    for place in range(attacks):
        book.attacked(name, f"attack{place}:steps=100,rate=0.0{place}", 0.3 + 0.01 * place)
    text = render("terminal", book.results(), width)
    assert_fits(text, max(width, 40))
    for place in range(attacks):
        assert f"{30 + place}.0" in text


def test_a_file_gets_whole_tables(rich_book: Any) -> None:
    text = render("terminal", rich_book.results(), None)
    assert "cgat:inner_steps=14," in text
    assert sum(line.startswith("#") for line in text.splitlines()) == 5


@pytest.mark.parametrize(
    "variables",
    [{"FORCE_COLOR": "1"}, {"NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "20"}],
    ids=["forced", "refused"],
)
def test_colour_as_it_is_asked_for_whatever_the_environment(
    quick: Any, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    plain = render("terminal", quick.results(), 80, color="never")
    colored = render("terminal", quick.results(), 80, color="always")
    assert ANSI not in plain
    assert f"{ANSI}1;32m" in colored  # the best is bold and green
    assert re.sub(r"\x1b\[[0-9;]*m", "", colored).split() == plain.split()


def test_colour_by_itself_is_for_a_terminal_that_wants_it(
    quick: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = quick.results()
    plain, colored = (render("terminal", results, 80, color=color) for color in ("never", "always"))
    monkeypatch.delenv("NO_COLOR")
    assert render("terminal", results, 80) == plain  # the tests' standard output is a file
    monkeypatch.setenv("FORCE_COLOR", "1")  # ... and now counts as a terminal
    assert render("terminal", results, 80) == colored
    assert render("terminal", results) == render("terminal", results, color="never")
    monkeypatch.setenv("NO_COLOR", "1")
    assert render("terminal", results, 80) == plain


@pytest.mark.parametrize("name", ["terminal", "markdown"])
def test_a_failed_cell_is_shown_with_its_reason(quick: Any, name: str) -> None:
    quick.cells = [c for c in quick.cells if (c.cell.defense, c.cell.attack) != ("cgat", "sdha")]
    quick.lost("cgat", "sdha", "the disk is full")
    text = " ".join(render(name, quick.results(), 80).split())
    (board,) = leaderboards(quick.results())
    (finding,) = next(row for row in board.rows if row.defense == "cgat").findings
    assert finding.words == "sdha failed: the disk is full"
    assert text.count(finding.words) == 1
    assert text.count("failed") >= 3  # sdha, its worst case, and the sentence


@pytest.mark.parametrize("name", ["terminal", "markdown"])
def test_best_and_worst_order_of_ties_stand_beside_every_value(quick: Any, name: str) -> None:
    text = render(name, quick.results(), 80)
    # As made in conftest: clean -4 and +5 points, attacked -2 and +3.
    for bounds in ("[64.3, 73.3]", "[49.9, 54.9]", "[5.1, 10.1]"):
        assert bounds in text


@pytest.mark.parametrize("name", ["terminal", "markdown"])
def test_code_quality_stands_beside_every_model(book: Any, name: str) -> None:
    book.clean("d", 0.7, distinct_codes=2345.0, bit_balance=0.61, bit_entropy=0.83, tied=0.987)
    book.attacked("d", "hag", 0.3, zero_gradients=0.123)
    text = render(name, book.results(), 80)
    for value in ("2,345", "0.61", "0.83", "98.7", "12.3"):
        assert value in text


@pytest.mark.parametrize("name", ["terminal", "markdown"])
def test_hostile_text_stays_text(book: Any, name: str) -> None:
    book.clean(HOSTILE, 0.7).attacked(HOSTILE, "hag", 0.3)
    book.clean("none", 0.7).lost("none", "hag", HOSTILE)
    text = render(name, book.results(), 80)
    assert "\x1b" not in text
    if name == "markdown":
        assert "<" not in text
        assert not re.search(r"(?<!\\)`", text)


def markdown_rows(text: str) -> list[list[str]]:
    return [
        re.split(r"(?<!\\)\|", line)[1:-1] for line in text.splitlines() if line.startswith("|")
    ]


def test_a_hostile_name_adds_no_cell_and_no_row(book: Any) -> None:
    book.clean("plain", 0.7).attacked("plain", "hag", 0.3)
    before = markdown_rows(render("markdown", book.results()))
    book.clean(HOSTILE, 0.7).attacked(HOSTILE, "hag", 0.4)
    after = markdown_rows(render("markdown", book.results()))
    # One more row in each of the four tables, each as wide as the others.
    assert len(after) == len(before) + 4
    assert {len(row) for row in after[:4]} == {7}
    assert after[2][1].strip().startswith(r"evil\|x&lt;script&gt;alert(1)&lt;/script&gt;\`code\`")


def test_markdown_keeps_parameters_readable(book: Any) -> None:
    book.clean("cgat:inner_steps=14", 0.7).attacked("cgat:inner_steps=14", "hag", 0.3)
    assert "cgat:inner_steps=14" in render("markdown", book.results())


def test_markdown_columns_match_their_heads(rich_book: Any) -> None:
    tables: list[list[list[str]]] = []
    for block in render("markdown", rich_book.results()).split("\n\n"):
        if block.startswith("|"):
            tables.append(markdown_rows(block))
    (radii, *tables) = tables
    assert (len(radii), {len(row) for row in radii}) == (2 + 2 * 4, {2 + 5})
    assert len(tables) == 25
    for place, table in enumerate(tables):
        assert len({len(row) for row in table}) == 1
        # The cost has a line for each of the four attacks.
        assert len(table) == 2 + (16 if place % 5 == 4 else 4)


@pytest.mark.parametrize("name", TEXTS)
def test_the_same_cells_in_another_order_give_the_same_text(rich_book: Any, name: str) -> None:
    expected = render(name, rich_book.results(), 80)
    turned: Callable[[list[Any]], list[Any]] = lambda cells: cells[::-1]  # noqa: E731
    assert render(name, rich_book.results(order=turned), 80) == expected


@pytest.mark.parametrize(("name", "suffix"), [("terminal", ".txt"), ("markdown", ".md")])
def test_suffixes(name: str, suffix: str) -> None:
    form = plugins.get("format", name)
    assert isinstance(form, plugins.Format)
    assert form.suffix == suffix


@pytest.mark.parametrize(
    "text",
    [
        "https://evil.example/x",
        "see HTTP://evil.example",
        "www.evil.example",
        "WWW.evil.example",
        "mail me@evil.example",
        "@someone, look",
        "(@some-one)",
    ],
)
def test_markdown_makes_no_link_and_calls_nobody(book: Any, text: str) -> None:
    """GitHub's own rules: an address needs `://` or `www.`, a name stands behind a bare `@`."""
    book.clean(text, 0.7).lost(text, "hag", text)
    page = render("markdown", book.results())
    assert not re.search(r"https?://|www\\.|(?<!\\w)@\\w|\\w@[\\w-]+\\.\\w", page, re.IGNORECASE)
    read = page.replace("&#58;", ":").replace("&#46;", ".").replace("<!-- -->", "")
    assert text.replace("-", "-") in read


def test_markdown_leaves_presets_as_they_are(book: Any) -> None:
    book.clean("cgat@released", 0.7).attacked("cgat@released", "hag@published:rate=0.5", 0.3)
    page = render("markdown", book.results())
    assert "cgat@released" in page
    assert "hag@published:rate=0.5" in page


@pytest.mark.parametrize("name", TEXTS)
def test_hidden_and_turning_characters_are_seen(book: Any, name: str) -> None:
    hidden = "a\u202eb\u200bc\u2066d\ufefe\u2028f\U000e0041g\x9b31mh"
    book.clean(hidden, 0.7).attacked(hidden, hidden, 0.3).lost("none", hidden, hidden)
    page = render(name, book.results())
    assert shown(page, keep="\n") == page
    for written, read in ((r"\textbackslash{}", "\\"), (r"\allowbreak{}", ""), ("\\\\", "\\")):
        page = page.replace(written, read)
    assert r"a\u202eb\u200bc" in page


NAMES = (
    "</script><b onclick=x>",
    "\u202eabc \u05d0",
    "\x1b]0;title\x07\x1b[31m",
    "=cmd|' /C calc'!A0",
    "x" * 300,
    "back\\slash `tick` $%&#_{}~^",
    "図表 😀",
    "two\nlines\r\n\ttab",
)


@pytest.mark.parametrize("text", NAMES)
@pytest.mark.parametrize("name", plugins.names("format"))
def test_any_name_is_taken_by_every_format(new_book: Any, name: str, text: str) -> None:
    """In every place where a stranger's text may stand; the same bytes twice."""
    book = new_book(dataset=text, loss=text, backbone=text)
    book.clean(text, 0.7).attacked(text, text, 0.3).targeted(text, f"{text}2", 0.5, own=0.2)
    book.clean("plain", 0.7).lost("plain", text, text)
    form = plugins.get("format", name)
    assert isinstance(form, plugins.Format)
    found = form.files(book.results())
    assert found == form.files(book.results())
    for file, content in found.items():
        assert re.fullmatch(r"[A-Za-z0-9._-]+", file)
        if form.is_text:
            page = content.decode()
            assert shown(page, keep="\n") == page


def test_a_page_of_several_tables_begins_with_links_to_each(new_book: Any) -> None:
    """Anchors by GitHub's rule, restated: what is shown, in lower case, without marks, numbered."""
    books = [new_book(bits=bits) for bits in (16, 32)]
    for book in books:
        book.clean("none", 0.7).attacked("none", "hag", 0.3).targeted("none", "tha", 0.4, own=0.2)
    odd = new_book(dataset="ties")
    odd.clean("none", 0.7).attacked("none", "hag", 0.3)
    page = render("markdown", books[0].results(books[1], odd))
    lines = page.splitlines()
    assert [line for line in lines if line.startswith("# ")] == [lines[0]]
    links = re.findall(r"^- \[(.*)\]\(#(.*)\)$", page, re.MULTILINE)
    heads = [line.removeprefix("## ") for line in lines if line.startswith("## ")]
    assert [text for text, _ in links] == heads
    assert [anchor for _, anchor in links] == [
        "csq-small-cnn-eps-24255-code-lengths-side-by-side",
        "fashion-csq-small-cnn-16-bits-eps-24255",
        "fashion-csq-small-cnn-32-bits-eps-24255",
        "ties-csq-small-cnn-32-bits-eps-24255",
        "reproduce",
    ]
    assert sum(line == "### Ties" for line in lines) == 3


def test_titles_alike_have_anchors_of_their_own(new_book: Any) -> None:
    books = [new_book(dataset="a.b"), new_book(dataset="ab", loss="csq")]
    for book in books:
        book.clean("none", 0.7).attacked("none", "hag", 0.3)
    page = render("markdown", books[0].results(books[1]))
    anchors = re.findall(r"^- \[.*\]\(#(.*)\)$", page, re.MULTILINE)
    assert anchors[:2] == [
        "ab-csq-small-cnn-32-bits-eps-24255",
        "ab-csq-small-cnn-32-bits-eps-24255-1",
    ]


def test_pictures_are_shown_once_with_words_for_them(quick: Any) -> None:
    links = ("p/a-map-0123abcd.svg", "p/a-map-0123abcd.png", "p/b (1).svg", "p/notes.txt")
    page = render("markdown", quick.results(), pictures=links)
    assert "## Pictures\n\n![a map](p/a-map-0123abcd.png)\n\n![b (1)](p/b%20%281%29.svg)\n" in page
    assert page.count("![") == 2
