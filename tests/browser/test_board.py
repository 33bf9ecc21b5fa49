"""The page in a browser: silent, self-contained, usable by mouse, keyboard and screen reader."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from hashbench.results.cell import CLEAN
from support.board_pages import AXE, SETTINGS, cell_of, done, gathered, written

ROWS = """
return [...document.querySelectorAll('#table tbody tr')].filter((row) => !row.hidden)
  .map((row) => [...row.cells].map((cell) => cell.textContent.trim()));
"""
SORT = "document.querySelector(`#table th[data-key='${arguments[0]}'] button`).click();"
FILTER = """
const select = document.querySelector(`[data-filter='${arguments[0]}']`);
select.value = arguments[1];
select.dispatchEvent(new Event('change', { bubbles: true }));
"""
KEYS = "return [...document.querySelectorAll('#table thead th')].map((head) => head.dataset.key);"


@pytest.fixture
def loaded(browser: Any, board: Path) -> Any:
    browser.load(board)
    return browser


def values(browser: Any, key: str) -> list[float]:
    """What the rows that are shown are sorted by in a column."""
    place = browser.run(KEYS).index(key)
    found = browser.run(
        "return [...document.querySelectorAll('#table tbody tr')].filter((row) => !row.hidden)"
        ".map((row) => row.cells[arguments[0]].dataset.v)",
        place,
    )
    return [float(value) for value in found if value]


def column(browser: Any, key: str) -> list[str]:
    place = browser.run(KEYS).index(key)
    return [row[place] for row in browser.run(ROWS)]


@pytest.mark.parametrize(("width", "scheme"), SETTINGS)
def test_the_page_loads_without_a_word_and_asks_for_nothing(
    browser: Any, board: Path, width: int, scheme: str
) -> None:
    browser.load(board, width, scheme)
    browser.run("for (const one of document.querySelectorAll('details')) one.open = true;")
    browser.run("scrollTo(0, document.body.scrollHeight)")
    asked = browser.asked_for()
    assert board.as_uri() in asked
    assert [one for one in asked if one != board.as_uri() and not one.startswith("data:")] == []
    assert browser.said() == []
    # Only the boxes that are made for it scroll sideways, never the page.
    assert browser.run("return document.documentElement.scrollWidth") == width
    light = scheme == "light"
    paper = browser.run("return getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, paper[4:-1].split(","))) > 600) is light


@pytest.mark.parametrize(("width", "scheme"), SETTINGS)
def test_axe_finds_nothing_serious(
    browser: Any, board: Path, axe: str, width: int, scheme: str
) -> None:
    browser.load(board, width, scheme)
    browser.run("for (const one of document.querySelectorAll('details')) one.open = true;")
    browser.run(axe)
    found = browser.driver.execute_async_script(AXE)
    assert [one for one in found if one[0] in ("serious", "critical")] == []
    browser.run("document.querySelector('.gallery .open').click()")
    found = browser.driver.execute_async_script(AXE)
    assert [one for one in found if one[0] in ("serious", "critical")] == []


LINES = """
const name = document.querySelector('#table .d bdi');
const selection = getSelection();
selection.selectAllChildren(name);
const copied = selection.toString();
const lines = new Map();
for (const piece of name.childNodes) {
  for (let at = 0; at < (piece.data || '').length; at += 1) {
    const one = document.createRange();
    one.setStart(piece, at);
    one.setEnd(piece, at + 1);
    const top = Math.round(one.getBoundingClientRect().top);
    lines.set(top, (lines.get(top) || '') + piece.data[at]);
  }
}
return [copied, ...lines.values()];
"""


@pytest.mark.parametrize("width", [1280, 390])
def test_a_long_name_is_broken_behind_a_sign_and_copied_as_it_is(
    browser: Any, tmp_path: Path, width: int
) -> None:
    name = "certified:epochs=40,codes=similarity"
    cells = [done(cell_of(name, attack)[0], 0.5) for attack in (CLEAN, "hag")]
    browser.load(written(gathered(cells), tmp_path), width)
    copied, *lines = browser.run(LINES)
    assert copied == name
    assert "".join(lines) == name
    assert width > 390 or len(lines) > 1
    assert all(line.endswith((":", ",", "=")) for line in lines[:-1])


def test_a_click_on_a_head_sorts_and_says_so(loaded: Any) -> None:
    loaded.run(SORT, "worst")
    worst = values(loaded, "worst")
    assert worst == sorted(worst, reverse=True)
    heads = "return [...document.querySelectorAll('th[aria-sort]')].map((h) => h.ariaSort)"
    assert loaded.run(heads) == ["descending"]
    loaded.run(SORT, "worst")
    assert values(loaded, "worst") == sorted(worst)
    assert loaded.run(heads) == ["ascending"]
    loaded.run(SORT, "defense")
    names = [name.lower() for name in column(loaded, "defense")]
    assert names == loaded.run("return arguments[0].sort()", names)


def test_a_head_is_sorted_by_from_the_keyboard(loaded: Any) -> None:
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    button = loaded.driver.find_element(By.CSS_SELECTOR, "th[data-key=clean] button")
    button.send_keys(Keys.ENTER)
    clean = values(loaded, "clean")
    assert clean == sorted(clean, reverse=True)


def test_filters_and_search_narrow_rows_and_sections_and_the_count_is_told(loaded: Any) -> None:
    total = len(loaded.run(ROWS))
    loaded.run(FILTER, "bits", "16")
    assert set(column(loaded, "bits")) == {"16"}
    loaded.run(FILTER, "threat", "L∞ 24/255")
    rows = loaded.run(ROWS)
    assert len(rows) == 3
    said = "return document.querySelector('#count').textContent"
    assert loaded.run(said) == f"3 of {total} models"
    live = "return document.querySelector('#count').getAttribute('aria-live')"
    assert loaded.run(live) == "polite"
    sections = (
        "return [...document.querySelectorAll('[data-model]')]"
        ".filter((one) => !one.hidden && !one.closest('.part').hidden).length"
    )
    assert loaded.run(sections) == 3
    from selenium.webdriver.common.by import By

    box = loaded.driver.find_element(By.ID, "q")
    box.send_keys("cgat")
    assert column(loaded, "defense") == ["cgat"]
    box.send_keys(" nowhere")
    assert loaded.run(ROWS) == []
    assert loaded.driver.find_element(By.ID, "none").is_displayed()
    loaded.driver.find_element(By.ID, "reset").click()
    assert len(loaded.run(ROWS)) == total


def test_flags_are_filtered_by_code(loaded: Any) -> None:
    loaded.run(FILTER, "flags", "collapsed-codes")
    assert column(loaded, "defense") == ["flat"]
    loaded.run(FILTER, "flags", "no")
    assert "flat" not in column(loaded, "defense")
    loaded.run(FILTER, "flags", "any")
    assert column(loaded, "defense") == ["flat"]


def test_a_view_is_a_link_and_back_leads_to_the_one_before(browser: Any, board: Path) -> None:
    browser.load(board)
    browser.run(FILTER, "bits", "32")
    browser.run(SORT, "worst")
    link = browser.run("return location.hash")
    rows = browser.run(ROWS)
    assert link == "#view?bits=32&sort=-worst"
    browser.load(board, view=link)
    assert browser.run(ROWS) == rows
    assert browser.run("return document.querySelector('[data-filter=bits]').value") == "32"
    browser.run(FILTER, "bits", "16")
    assert set(column(browser, "bits")) == {"16"}
    browser.driver.back()
    assert browser.run("return location.hash") == link
    assert browser.run(ROWS) == rows
    browser.load(board, view="#view?bits=no-such&sort=nothing&q=")
    assert browser.said() == []
    assert len(browser.run(ROWS)) > len(rows)


def test_a_link_to_a_model_opens_its_section(browser: Any, board: Path) -> None:
    browser.load(board)
    name = browser.run("return document.querySelector('#table tbody a').hash")
    browser.run("document.querySelector('#table tbody a').click()")
    state = "return document.querySelector(arguments[0]).open"
    assert browser.run(state, name)
    browser.load(board, view=name)
    assert browser.run(state, name)


def test_the_gallery_is_walked_by_keys_and_holds_the_focus(loaded: Any) -> None:
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    opened = (
        "const gallery = document.querySelector('.gallery');"
        "for (let one = gallery; one; one = one.parentElement)"
        " if (one.tagName === 'DETAILS') one.open = true;"
        "const button = gallery.querySelector('.open'); button.focus(); button.click();"
    )
    loaded.run(opened)
    title = "return document.querySelector('#viewer-title').textContent"
    focus = "return document.activeElement.id || document.activeElement.className"

    def press(*keys: str) -> None:
        chain = ActionChains(loaded.driver)
        for key in keys:
            chain.send_keys(key)
        chain.perform()

    assert loaded.run("return document.querySelector('#viewer').open")
    assert loaded.run(title) == "Query 0, T-shirt"
    press(Keys.ARROW_RIGHT)
    assert loaded.run(title) == "Query 1, Trouser"
    press(Keys.END)
    assert loaded.run(title) == "Query 2, Pullover"
    press(Keys.ARROW_RIGHT)
    assert loaded.run(title) == "Query 2, Pullover"
    press(Keys.ARROW_LEFT, Keys.ARROW_LEFT, Keys.ARROW_LEFT)
    assert loaded.run(title) == "Query 0, T-shirt"
    stops = []
    for _ in range(5):
        stops.append(loaded.run(focus))
        press(Keys.TAB)
    assert set(stops) == {"viewer-close", "viewer-on"}
    shown = "return [...document.querySelectorAll('#viewer img')].every((one) => one.naturalWidth)"
    assert loaded.run(shown)
    press(Keys.ESCAPE)
    assert not loaded.run("return document.querySelector('#viewer').open")
    assert "open" in loaded.run(focus)
    assert loaded.said() == []


def test_light_and_dark_are_changed_by_hand(loaded: Any) -> None:
    paper = "return getComputedStyle(document.body).backgroundColor"
    light = loaded.run(paper)
    loaded.run("document.querySelector('#theme').click()")
    assert loaded.run(paper) != light
    loaded.run("document.querySelector('#theme').click()")
    assert loaded.run(paper) == light


def test_without_scripts_everything_is_there_to_be_read(browser: Any, large: Path) -> None:
    browser.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.load(large)
        read = browser.driver.execute_cdp_cmd(
            "Runtime.evaluate",
            {"expression": "document.querySelectorAll('[data-model] table.plain').length",
             "returnByValue": True},
        )  # fmt: skip
        assert browser.said() == []
    finally:
        browser.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
    assert read["result"]["value"] >= 1000


def test_5000_cells_are_shown_in_parts_and_their_sections_made_as_they_are_opened(
    browser: Any, large: Path
) -> None:
    assert large.stat().st_size <= 15_000_000
    browser.load(large)
    mark = "return performance.getEntriesByName('hashbench-interactive')[0].startTime"
    sys.stdout.write(f"interactive after {browser.run(mark):.0f} ms\n")
    assert len(browser.run(ROWS)) == 200
    said = browser.run("return document.querySelector('#count').textContent")
    assert said == "1,000 models, the first 200 shown"
    browser.run("document.querySelector('#more').click()")
    assert len(browser.run(ROWS)) == 400
    browser.run(SORT, "worst")
    found = values(browser, "worst")
    assert found == sorted(found, reverse=True)
    assert len(found) == 200
    name = browser.run("return document.querySelector('#table tbody a').hash")
    inside = "return document.querySelectorAll(`${arguments[0]} table`).length"
    assert browser.run(inside, name) == 0
    browser.load(large, view=name)
    assert browser.run(inside, name) > 0
    assert browser.run("return document.querySelector(arguments[0]).open", name)
    assert browser.said() == []
