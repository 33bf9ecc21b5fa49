"""Every block of docs/writing-plugins.md works: files are written, commands run, in their order.

`pip`, `python` and `hashbench` are those of an environment of the test's own, so that the page's
package is installed nowhere else. `hashbench run` gets a small suite; nothing else is changed.
"""

from __future__ import annotations

import re
import tomllib

import pytest

from support.following import Place, assert_in_order, follow, new_place
from support.pages import DOCS, README, blocks

PAGE = DOCS / "writing-plugins.md"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return new_place(tmp_path_factory.mktemp("author"))


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_page_for_authors_from_its_first_line_to_its_last(place: Place) -> None:
    assert follow(blocks(PAGE), place) >= 20
    folder = place.folder
    # The entry point that the page quotes is the one that was written.
    quoted = next(block for block in blocks(PAGE) if block.language == "toml")
    written = tomllib.loads((folder / "my-descent/pyproject.toml").read_text())
    group = "hashbench.attacks"
    wanted = tomllib.loads(quoted.text)["project"]["entry-points"][group]
    assert written["project"]["entry-points"][group] == wanted
    # The rows are there: every attack against every defense.
    rows = (folder / "results.csv").read_text()
    for defense in ("none", "cgat"):
        for attack in ("my-descent", "pgd-hamming"):
            assert re.search(rf"^tiny,.*,{defense},{attack},.*,map,", rows, re.MULTILINE)
    assert "my-descent" in (folder / "report.md").read_text()


def test_a_promise_that_the_output_breaks_is_found() -> None:
    assert_in_order("one\n...\nthree", "one\ntwo\nthree\n")
    for promised in ("three\n...\none", "four"):
        with pytest.raises(AssertionError, match="is not in"):
            assert_in_order(promised, "one\ntwo\nthree\n")


def test_a_failing_command_is_found(place: Place) -> None:
    with pytest.raises(AssertionError, match="there is no plugin"):
        place.run("hashbench check nothing-of-that-name")


def test_the_readme_shows_an_attack_that_keeps_the_rules(place: Place) -> None:
    shown = next(block for block in blocks(README) if block.text.startswith("# my_attack.py"))
    path = place.folder / "from_the_readme.py"
    path.write_text(shown.text)
    assert " 0 failed" in place.run(f"hashbench check {path.name}")
