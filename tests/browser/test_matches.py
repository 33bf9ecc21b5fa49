"""The page of matches in a browser: silent, self-contained, nothing wider than the window."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hashbench import plugins
from hashbench.plugins import Format
from hashbench.results.matches.results import MatchResults
from hashbench.testing import sample_matches as sample
from support.board_pages import AXE, SETTINGS

MADE = {
    "ordinary": sample.ordinary,
    "losses": sample.with_losses,
    "foreign": sample.foreign,
    "empty": sample.empty,
}


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The page of matches of a kind, as a file."""
    form = plugins.get("format", "html")
    assert isinstance(form, Format)
    folder = tmp_path_factory.mktemp("matches")

    def write(kind: str) -> Path:
        path = folder / f"{kind}.html"
        made: Callable[[], MatchResults] = MADE[kind]
        path.write_text(form.render_matches(made()), encoding="utf-8")
        return path

    return write


@pytest.mark.parametrize("kind", MADE)
@pytest.mark.parametrize(("width", "scheme"), SETTINGS)
def test_the_page_loads_without_a_word_and_asks_for_nothing(
    browser: Any, page: Callable[[str], Path], width: int, scheme: str, kind: str
) -> None:
    path = page(kind)
    browser.load(path, width, scheme)
    browser.run("scrollTo(0, document.body.scrollHeight)")
    asked = browser.asked_for()
    assert [one for one in asked if one != path.as_uri() and not one.startswith("data:")] == []
    assert browser.said() == []
    assert browser.run("return document.documentElement.scrollWidth") == width
    light = scheme == "light"
    paper = browser.run("return getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, paper[4:-1].split(","))) > 600) is light


@pytest.mark.parametrize("kind", ["ordinary", "losses", "foreign"])
@pytest.mark.parametrize(("width", "scheme"), SETTINGS)
def test_axe_finds_nothing_serious(
    browser: Any, page: Callable[[str], Path], axe: str, width: int, scheme: str, kind: str
) -> None:
    browser.load(page(kind), width, scheme)
    browser.run(axe)
    found = browser.driver.execute_async_script(AXE)
    assert [one for one in found if one[0] in ("serious", "critical")] == []


def test_pictures_are_looked_at_one_by_one(browser: Any, page: Callable[[str], Path]) -> None:
    browser.load(page("ordinary"))
    browser.run("document.querySelector(\".gallery[aria-label*='collide'] .open\").click()")
    shown = (
        "return [...document.querySelectorAll('#viewer-body figcaption')].map((c) => c.innerText)"
    )
    clean, attacked, change, stranger = browser.run(shown)
    assert clean == "clean: park.png"
    assert attacked == "attacked: distance 9, T 10"
    assert change == "change, 31.8\N{MULTIPLICATION SIGN}"
    assert stranger == "stranger: other/park.png"
    browser.run("document.getElementById('viewer-on').click()")
    assert browser.run(shown)[0] == "clean: street/cat.png"
    assert browser.run(
        "return [...document.images].every((image) => image.src.startsWith('data:image/png;'))"
    )


def test_the_region_that_is_proven_is_seen_and_named(
    browser: Any, page: Callable[[str], Path]
) -> None:
    browser.load(page("ordinary"))
    assert browser.run("return document.querySelectorAll('svg.figure .region').length") == 1
    assert "proven: no attack gets here" in browser.run("return document.body.innerText")
