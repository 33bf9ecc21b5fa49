"""The format `html`: one file that asks for nothing, in which every name is text."""

from __future__ import annotations

import base64
import hashlib
import html
import re
import shlex
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashbench import plugins
from hashbench.reports.board.leaderboard import leaderboards
from hashbench.reports.board.over_seeds import Entry
from hashbench.reports.page import figures, models, pictures, plots
from hashbench.reports.page.names import breakable
from hashbench.reports.page.numbers import number
from hashbench.reports.text.sentences import one_line
from hashbench.results.cell import CLEAN
from hashbench.results.gallery import Gallery
from hashbench.results.intervals import Interval
from hashbench.results.results import Results
from hashbench.testing import sample_results
from support.board_pages import (
    HOSTILE,
    Reader,
    cell_of,
    done,
    exhibit,
    full_board,
    gathered,
    many_cells,
)


def render(results: Results, **parameters: object) -> str:
    form = plugins.get("format", "html", **parameters)
    assert isinstance(form, plugins.Format)
    return form.render(results)


@pytest.fixture(scope="module")
def text() -> str:
    return render(full_board())


@pytest.fixture(scope="module")
def read(text: str) -> Reader:
    return Reader(text)


def test_every_element_is_closed_where_it_should_be(read: Reader) -> None:
    assert read.astray == []
    assert read.open == []


@pytest.mark.parametrize(
    "results",
    [
        sample_results.empty(),
        sample_results.only_losses(),
        sample_results.with_losses(),
        sample_results.several_groups(),
        sample_results.foreign(),
        many_cells(400),
    ],
    ids=["empty", "only losses", "losses", "groups", "foreign", "many"],
)
def test_whatever_the_results_the_page_is_whole(results: Results) -> None:
    read = Reader(render(results))
    assert (read.astray, read.open) == ([], [])
    ids = read.attribute("id")
    assert len(ids) == len(set(ids))
    named = {target[1:] for target in read.attribute("href")}
    assert named <= set(ids)


def test_nothing_is_fetched_from_anywhere(text: str, read: Reader) -> None:
    assert all(address.startswith("data:image/png;base64,") for address in read.attribute("src"))
    assert all(target.startswith("#") for target in read.attribute("href"))
    assert not {"link", "iframe", "object", "embed", "base", "form"} & {t for t, _ in read.elements}
    assert "url(" not in text
    assert "@import" not in text
    assert not any(name.startswith("on") for _, given in read.elements for name in given)


def test_the_policy_lets_the_scripts_of_the_page_run_and_nothing_else(text: str) -> None:
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', text)
    scripts = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    hashes = [
        base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts
    ]
    allowed = " ".join(f"'sha256-{one}'" for one in hashes)
    assert policy == (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
        f"script-src {allowed}; base-uri 'none'; form-action 'none'"
    )
    assert text.count("<script") == len(scripts) == 2


def test_names_of_strangers_are_text(text: str, read: Reader) -> None:
    for name in HOSTILE:
        assert one_line(name) in read.text
    assert "<b>bold" not in text
    assert "\x1b" not in text
    assert "\u202e" not in text
    # Every piece that may hold a stranger's letters turns the direction of its own text alone.
    hebrew = "\u05e9\u05dc\u05d5\u05dd"
    shown = re.findall(rf"(<[^<>]*>)[^<>]*{hebrew}", text.replace("<wbr>", ""))
    inside = [tag for tag in shown if not tag.startswith(("<option", "<title", "<desc", "<span>"))]
    assert {tag.split()[0].rstrip(">") for tag in inside} == {"<bdi"}


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("certified:epochs=40,codes=similarity", "certified: epochs=40, codes= similarity"),
        ("cgat:inner_steps=14", "cgat: inner_steps= 14"),
        ("csq:weight=1", "csq:weight=1"),  # short
        ("a sentence: of parts, a=b", "a sentence: of parts, a=b"),  # its blanks break
        ("https://example.org/a,b", "https://example.org/a, b"),
        ("lists:root=<b>&", "lists: root=&lt;b&gt;&amp;"),
        ("ends with a sign:", "ends with a sign:"),
    ],
)
def test_a_long_name_may_break_behind_its_signs(name: str, lines: str) -> None:
    shown = str(breakable(name))
    assert shown.replace("<wbr>", " ") == lines


@given(st.text(alphabet="ab:,=/ <&\N{HEBREW LETTER SHIN}"))
def test_what_is_copied_of_a_name_is_the_name(name: str) -> None:
    assert html.unescape(str(breakable(name)).replace("<wbr>", "")) == name


def test_the_same_results_give_the_same_bytes(text: str) -> None:
    assert render(full_board()) == text


def test_every_model_has_a_row_with_its_numbers_and_a_section_that_it_leads_to(text: str) -> None:
    results = full_board()
    boards = leaderboards(results)
    rows = re.findall(r'<tr[^>]* data-m="([^"]+)"', text)
    sections = re.findall(r'<details class="model" id="([^"]+)"', text)
    assert rows == sections
    assert len(rows) == sum(len(board.rows) for board in boards)
    values = re.findall(r'<td class="n w" data-v="([^"]*)">', text)
    means = [row.worst_case.mean for board in boards for row in board.rows]
    assert values == ["" if mean is None else f"{100 * mean:.4f}" for mean in means]


def test_the_page_says_what_stands_in_no_cell(read: Reader) -> None:
    said = read.text
    assert "plans/3.json: half of it is missing: run the same command again" in said
    assert "1 cell has different values in different places." in said
    assert "other lab" in said
    assert "All of these cells." in said
    assert "attack 'sdha' must return finite images" in said
    assert "See docs/flags.md#clean-at-chance." in said
    assert re.search(r"torch ?2\.4\.0", said)


def test_an_interval_and_ranks_that_cannot_be_told_apart_are_shown() -> None:
    entry = Entry(((0, 0.5), (1, 0.52)), (), Interval(0.4712, 0.5433))
    found = number(entry)
    assert (found.text, found.spread, found.bounds) == ("51.0", "±1.4", "47.1 to 54.3")
    assert found.spoken == "51.0 ±1.4 [47.1 to 54.3]"
    row = leaderboards(full_board())[0].rows[0]
    assert models._rank(replace(row, rank=2, first_rank=1, last_rank=3)) == (
        "1\N{EN DASH}3",
        "rank 2; ranks 1 to 3 cannot be told apart",
    )
    assert models._rank(replace(row, rank=2, first_rank=2, last_rank=2))[0] == "2"


def test_a_number_over_some_seeds_says_so(text: str) -> None:
    assert '<span class="gap">1 of 2 failed</span>' in text


def test_every_model_has_the_command_that_asks_for_its_cells(text: str) -> None:
    results = full_board()
    sections = text.partition('<section id="models"')[2].partition('<section id="reproduce"')[0]
    blocks = re.findall(r"<pre[^>]*><code>([^<]*)</code>", sections)
    boards = leaderboards(results)
    assert len(blocks) == sum(len(board.rows) for board in boards)
    for (board, row), block in zip([(b, r) for b in boards for r in b.rows], blocks, strict=True):
        if row.defense in HOSTILE:
            continue
        command = html.unescape(block).replace("\\\n", "").rpartition("hashbench run ")[2]
        words = shlex.split(command)
        given = [word for word in words if not word.endswith(".toml")]
        asked = set(zip(given[::2], given[1::2], strict=True))
        assert asked == {
            ("--dataset", board.group.dataset),
            ("--loss", "csq"),
            ("--backbone", "small-cnn"),
            ("--bits", str(board.group.bits)),
            ("--defense", row.defense),
            *(("--attack", attack) for attack in (*board.attacks, *board.targeted)),
            ("--eps", board.group.eps),
            *(("--seed", str(seed)) for seed in row.seeds),
        } - ({("--attack", "tha")} if row.defense == "flat" else set())


def test_a_figure_stands_where_its_values_say() -> None:
    figure = figures.Figure(
        "f", "t", "d", figures.percents("x"), figures.percents("y"), width=166, height=158
    )
    assert (figure.x(0), figure.x(100)) == (52, 152)
    assert (figure.y(0), figure.y(100)) == (112, 12)
    figure.point(0, 50, 25, "<here>", "m-1")
    (drawn,) = figure.drawn
    assert '<circle cx="102" cy="87"' in drawn
    assert 'data-go="m-1"' in drawn
    assert "<title>&lt;here&gt;</title>" in drawn
    assert figures.thinned([(float(v), 0.0) for v in range(101)], 5) == [
        (0, 0), (25, 0), (50, 0), (75, 0), (100, 0)
    ]  # fmt: skip


def test_forty_series_each_have_a_look_of_their_own() -> None:
    looks = {(figures.look(place), figures.mark(place, 0, 0)) for place in range(40)}
    assert len(looks) == 40


def test_plots_tell_their_numbers_as_text(read: Reader) -> None:
    figures_ = [
        given for tag, given in read.elements if tag == "svg" and given.get("role") == "img"
    ]
    assert len(figures_) > 10
    assert all(len(given["aria-labelledby"].split()) == 2 for given in figures_)
    boards = leaderboards(full_board())
    names = plots.series_of(row.defense for board in boards for row in board.rows)
    for found in (plots.over_eps(boards, names), plots.against_training(boards, names)):
        assert found.plots
        assert all(plot.rows for plot in found.plots)
    (eps, *_) = plots.over_eps(boards, names).plots
    assert eps.header == ("defense", "0", "8/255", "16/255", "24/255")
    assert [row[0] for row in eps.rows] == ["atrdh", "cgat", "none"]


def test_of_the_pictures_each_cell_has_its_first_query_and_then_more_where_there_is_room() -> None:
    cells = [cell_of(name, "hag")[0] for name in ("a", "b", "c")]
    size = pictures._shown(exhibit(0)).size
    whole = Gallery(tuple(exhibit(query) for query in (0, 1, 2)))
    all_of_it = pictures.galleries(cells, lambda _: whole)
    assert [len(found) for found in all_of_it.shown.values()] == [3, 3, 3]
    assert (all_of_it.left_out, all_of_it.unread) == (0, 0)
    fewer = pictures.galleries(cells, lambda _: whole, int(2.5 * size))
    assert list(fewer.shown) == cells[:2]
    assert fewer.unread == 1
    assert sum(map(len, fewer.shown.values())) + fewer.left_out == 6
    used = sum(one.size for found in fewer.shown.values() for one in found)
    assert used <= 2.5 * size
    broken = replace(exhibit(0), clean=b"no picture")
    assert pictures.galleries(cells, lambda _: Gallery((broken,))).shown == {}
    assert pictures.galleries(cells, lambda _: None).shown == {}


def test_pictures_say_what_they_show(text: str, read: Reader) -> None:
    images = [given for tag, given in read.elements if tag == "img"]
    assert images
    assert all(given["alt"] and given["width"] == "28" for given in images)
    assert 'alt="Number 10, not relevant: Trouser, distance 3"' in text
    assert 'alt="What the attack changed in query 0, 8 times"' in text
    assert '<li class="right">' in text
    assert "✓" in text


def test_a_large_page_holds_its_sections_as_text_for_browsers_without_scripts() -> None:
    text = render(many_cells(500))
    assert text.count("<noscript>") == 100
    assert Reader(text).text.count("Measure it again") == 100
    assert "<noscript>" not in render(many_cells(200))


def test_a_page_has_so_many_sections_and_a_row_for_every_model(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("hashbench.reports.page.document.MOST_SECTIONS", 7)
    read = Reader(render(many_cells(100)))
    assert len(read.attribute("data-m")) == 20
    assert len(read.attribute("data-model")) == 7
    assert "The last 13 models of the table have no section here" in read.text
    assert {target[1:] for target in read.attribute("href")} <= set(read.attribute("id"))


@pytest.mark.parametrize("attacks", [(CLEAN, "hag"), (CLEAN, "noise", "hag", "sdha", "tha")])
def test_a_page_of_5000_cells_is_at_most_15_megabytes(attacks: tuple[str, ...]) -> None:
    assert len(render(many_cells(5000, attacks)).encode()) <= 15e6


def test_the_heading_is_the_users_own() -> None:
    results = gathered([done(cell_of("none", CLEAN)[0], 0.5)])
    text = render(results, title="Our <lab>")
    assert "<title>Our &lt;lab&gt;</title>" in text
