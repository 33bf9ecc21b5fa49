"""`hashbench explain A B`: paired differences in closed form, the queries behind them, pictures."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hashbench.cli.explain import explain
from hashbench.errors import UsageError
from hashbench.results import Cell, Results
from hashbench.results.cell import CLEAN, WORST_CASE, Status
from hashbench.results.contrast import Comparison, compared, pictured
from hashbench.results.gallery import Exhibit, Gallery, Hit
from hashbench.results.intervals import APART, difference

Command = Callable[..., Any]

HAG = np.array([0.9, 0.5, 0.1, 0.4])
SDHA = np.array([0.2, 0.6, 0.3, 0.4])
OTHER_HAG = np.array([0.1, 0.5, 0.2, 0.8])
OTHER_SDHA = np.array([0.3, 0.4, 0.2, 0.3])


@pytest.fixture
def results(book: Any) -> Results:
    """Two defenses under two attacks; four queries."""
    for defense, hag, sdha in (("cgat:weight=2", HAG, SDHA), ("none", OTHER_HAG, OTHER_SDHA)):
        book.clean(defense, 0.8)
        book.attacked(defense, "hag", hag).attacked(defense, "sdha", sdha)
    made: Results = book.results()
    return made


def only(results: Results, first: str = "cgat", second: str = "none") -> Comparison:
    (found,) = compared(results, first, second)
    return found


def names(comparison: Comparison) -> list[str]:
    return [one.attack for one in comparison.contrasts]


# --- What is compared ---


def test_differences_are_paired_by_query(results: Results) -> None:
    found = only(results)
    assert (found.first, found.second, found.seeds) == ("cgat:weight=2", "none", (0,))
    assert names(found) == [CLEAN, "hag", "sdha", WORST_CASE]
    hag = found.attacked[0]
    np.testing.assert_array_equal(hag.gaps, HAG - OTHER_HAG)
    assert hag.wins == (1, 2)
    assert hag.interval == difference(HAG, OTHER_HAG)


def test_the_worst_case_is_the_least_of_each_query(results: Results) -> None:
    worst = only(results).worst_case
    assert worst is not None
    np.testing.assert_array_equal(worst.first, np.minimum(HAG, SDHA))
    np.testing.assert_array_equal(worst.second, np.minimum(OTHER_HAG, OTHER_SDHA))
    # (.2, .5, .1, .4) against (.1, .4, .2, .3)
    assert worst.wins == (3, 1)
    assert worst.most_different(9) == [0, 1, 2, 3]  # all by .1, but for the last bits
    assert only(results).judged.attack == WORST_CASE


def test_turned_around_every_sign_turns(results: Results) -> None:
    there, back = only(results), only(results, "none", "cgat")
    for one, other in zip(there.contrasts, back.contrasts, strict=True):
        np.testing.assert_array_equal(one.gaps, -other.gaps)
        assert one.wins == other.wins[::-1]
        assert one.apart == other.apart
        if one.interval is not None and other.interval is not None:
            turned = (-other.interval.high, -other.interval.low)
            assert (one.interval.low, one.interval.high) == pytest.approx(turned, abs=1e-12)


def test_the_largest_gaps_come_first_and_equal_ones_are_none(book: Any) -> None:
    book.attacked("a", "hag", [0.5, 0.1, 0.9, 0.4, 0.3]).attacked(
        "b", "hag", [0.5, 0.4, 0.1, 0.1, 0.3 + 1e-12]
    )
    contrast = only(book.results(), "a", "b").judged
    assert contrast.most_different(9) == [2, 1, 3]
    assert contrast.most_different(1) == [2]
    assert contrast.most_different(9, among=[4, 3, 0, 99]) == [3]
    assert contrast.most_different(0) == []
    assert contrast.wins == (2, 1)


def test_models_are_apart_as_ranks_are_judged(book: Any) -> None:
    random = np.random.default_rng(0)
    base = random.beta(0.5, 1, 300) * 0.8
    for defense, shift in (("a", 0.02), ("b", 0.0), ("c", 0.0)):
        values: NDArray[np.float64] = base + shift + random.normal(0, 0.02, 300)
        book.attacked(defense, "hag", values.clip(0, 1))
    made = book.results()
    assert only(made, "a", "b").judged.apart
    assert not only(made, "b", "c").judged.apart
    judged = only(made, "b", "c").judged
    bounds = difference(judged.first, judged.second, APART)
    assert bounds is not None
    assert bounds.holds(0)


def test_seeds_are_averaged_and_only_common_ones_count(book: Any) -> None:
    for seed, (first, second) in enumerate((([0.2, 0.4], [0.1, 0.1]), ([0.4, 0.8], [0.3, 0.3]))):
        book.attacked("a", "hag", first, seed).attacked("b", "hag", second, seed)
    book.attacked("a", "hag", [1.0, 1.0], 2)
    found = only(book.results(), "a", "b")
    assert found.seeds == (0, 1)
    np.testing.assert_allclose(found.judged.first, [0.3, 0.6])
    np.testing.assert_allclose(found.judged.second, [0.2, 0.2])


def test_an_attack_that_one_lacks_is_left_out_and_told(results: Results) -> None:
    lost = tuple(
        replace(one, status=Status.FAILED, reason="it broke")
        if (one.cell.defense, one.cell.attack) == ("none", "sdha")
        else one
        for one in results.cells
    )
    found = only(replace(results, cells=lost))
    assert names(found) == [CLEAN, "hag", WORST_CASE]
    assert found.left_out == ("sdha",)
    np.testing.assert_array_equal(found.judged.first, HAG)


def test_a_targeted_attack_is_no_part_of_it(book: Any) -> None:
    for defense in ("a", "b"):
        book.attacked(defense, "hag", HAG).targeted(defense, "dhta", 0.6, 0.3)
    assert names(only(book.results(), "a", "b")) == ["hag", WORST_CASE]


def test_every_radius_and_length_is_a_table_of_its_own(book: Any, new_book: Any) -> None:
    other = new_book(bits=64)
    for one in (book, other):
        for defense in ("a", "b"):
            one.clean(defense, 0.8)
            for eps in ("24/255", "8/255"):
                one.attacked(defense, "hag", HAG, eps=eps)
    found = compared(book.results(other), "a", "b")
    assert [(one.setting.bits, one.setting.eps) for one in found] == [
        (32, "8/255"),
        (32, "24/255"),
        (64, "8/255"),
        (64, "24/255"),
    ]
    assert all(one.clean is not None for one in found)


def test_clean_queries_are_compared_where_nobody_attacked(book: Any) -> None:
    book.clean("a", 0.8).clean("b", 0.7)
    found = only(book.results(), "a", "b")
    assert names(found) == [CLEAN]
    assert found.judged.wins == (1, 0)
    assert found.judged.interval is None  # of one query
    assert not found.judged.apart


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        ("cgta", "none", "no defense 'cgta'; known: cgat:weight=2, none"),
        ("none", "none", "are one defense here: name two"),
        ("cgat", "cgat:weight=2", "are one defense here"),
    ],
)
def test_wrong_names_are_told(results: Results, first: str, second: str, said: str) -> None:
    with pytest.raises(UsageError, match=re.escape(said)):
        compared(results, first, second)


def test_a_name_of_several_is_told_with_all_of_them(book: Any) -> None:
    for defense in ("cgat", "cgat:weight=2", "cgat:weight=3", "none"):
        book.attacked(defense, "hag", HAG)
    # The canonical text of one is that one.
    assert only(book.results()).first == "cgat"
    book.cells = [one for one in book.cells if one.cell.defense != "cgat"]
    with pytest.raises(UsageError, match="several defenses here; name one of them: cgat:weight=2;"):
        compared(book.results(), "cgat", "none")


def test_two_that_never_meet_are_told(book: Any, new_book: Any) -> None:
    other = new_book(bits=64)
    book.attacked("a", "hag", HAG)
    other.attacked("b", "hag", HAG)
    with pytest.raises(UsageError, match="no cell that is done for both 'a' and 'b'"):
        compared(book.results(other), "a", "b")


# --- Pictures and words ---


def exhibit(query: int, image: bytes, after: float) -> Exhibit:
    hit = Hit(b"hit", 5, 3, True, ("coat",))
    return Exhibit(
        query, ("coat", "<b>"), b"clean", image, b"change", 8, (hit,), (hit,), (0.9, after)
    )


def with_gallery(results: Results) -> Results:
    """Queries 1 and 2 have pictures; of `none` under `sdha` alone."""

    def gallery(cell: Cell) -> Gallery | None:
        if cell.defense == "none" and cell.attack == "hag":
            return None
        column = {"hag": HAG, "sdha": SDHA}[cell.attack]
        image = f"{cell.defense} {cell.attack}".encode()
        return Gallery(tuple(exhibit(query, image, column[query]) for query in (1, 2)))

    return replace(results, gallery=gallery)


def test_a_picture_is_of_the_attack_that_leaves_least(results: Results) -> None:
    made = with_gallery(results)
    found = pictured(made, only(made))
    assert list(found) == [1, 2]
    assert found[1].labels == ("coat", "<b>")
    # At query 1, hag leaves .5 and sdha .6; at query 2, .1 and .3.
    assert [one.first and one.first[0] for one in found.values()] == ["hag", "hag"]
    assert [one.second and one.second[0] for one in found.values()] == ["sdha", "sdha"]


@pytest.fixture
def run(run_on: Command) -> Command:
    """Run `hashbench explain` on results."""
    return partial(run_on, explain)


def test_it_prints_what_differs_and_where(run: Command, results: Results) -> None:
    done = run(results, "cgat", "none", "--queries", "2")
    assert done.exit_code == 0
    lines = [line.split() for line in done.stdout.splitlines()]
    # Means of (.2 .5 .1 .4) and (.1 .4 .2 .3), in percent.
    (worst,) = [line for line in lines if line[:2] == ["worst", "case"]]
    assert worst[2:5] == ["30.0", "25.0", "+5.0"]
    assert worst[-3:] == ["no", "3", "1"]
    assert "A: cgat:weight=2" in done.stdout
    assert "One seed" in done.stdout
    assert "No pictures were kept of these cells" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert all(line == line.rstrip() for line in done.stdout.splitlines())


def test_queries_with_pictures_are_named_too(run: Command, results: Results) -> None:
    done = run(with_gallery(results), "cgat", "none", "--queries", "1")
    assert "Where they differ most in the worst case" in done.stdout
    words = " ".join(done.stdout.split())
    assert "0 - 20.0 10.0 +10.0 none kept" in words
    assert "Where they differ most among the 2 queries with pictures:" in words
    assert "1 coat, <b> 50.0 40.0 +10.0 of A and B" in words


def test_a_page_holds_tables_and_pictures_and_nothing_remote(
    run: Command, results: Results, tmp_path: Path
) -> None:
    done = run(with_gallery(results), "cgat", "none", "-o", "page.html")
    assert done.exit_code == 0
    page = (tmp_path / "page.html").read_text()
    assert page.count("<h3>Query ") == 2
    assert "data:image/png;base64," in page
    assert 'alt="query 1, attacked"' in page
    assert 'class="relevant"' in page
    assert "coat, &lt;b&gt;" in page
    assert "<b>" not in page
    assert not re.search(r"(src|href)=.(?!data:)", page)


def test_pictures_are_written_as_files(run: Command, results: Results, tmp_path: Path) -> None:
    done = run(with_gallery(results), "cgat", "none", "--to", "pictures")
    assert done.exit_code == 0
    found = {path.name: path.read_bytes() for path in (tmp_path / "pictures").iterdir()}
    assert len(found) == 10
    assert found["query-00001-a-attacked.png"] == b"cgat:weight=2 hag"
    assert found["query-00001-b-attacked.png"] == b"none sdha"
    assert found["query-00002-clean.png"] == b"clean"


def test_without_pictures_no_folder_is_made(run: Command, results: Results, tmp_path: Path) -> None:
    done = run(results, "cgat", "none", "--to", "pictures")
    assert isinstance(done.exception, UsageError)
    assert "no pictures were kept" in str(done.exception)
    assert not (tmp_path / "pictures").exists()
    assert not done.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("cgat", "none", "-o", "page.pdf"), "a page is written; name it *.html"),
        (("cgat", "none", "--attack", "hga"), "no attack 'hga'; did you mean 'hag'"),
        (("cgat", "none", "--eps", "8/255"), "no eps '8/255'"),
        (("cgat", "nine"), "no defense 'nine'; did you mean 'none'"),
    ],
)
def test_wrong_usage_is_told(
    run: Command, results: Results, words: tuple[str, ...], said: str
) -> None:
    done = run(results, *words)
    assert isinstance(done.exception, UsageError)
    assert said in str(done.exception)


def test_a_part_is_compared_alone(run: Command, results: Results) -> None:
    done = run(results, "cgat", "none", "--attack", "hag")
    assert "sdha" not in done.stdout
    assert done.exit_code == 0


def test_names_steer_no_terminal(run: Command, book: Any) -> None:
    for defense in ("a\x1b[31m", "b"):
        book.attacked(defense, "hag", HAG)
    done = run(book.results(), "a\x1b[31m", "b")
    assert "\x1b" not in done.stdout
    assert "\\x1b[31m" in done.stdout
