"""One report of matches in every format of text, whole: tests/reports/golden_matches/.

Written anew as the pages of `test_golden.py` are, by the same variable.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from hashbench import plugins
from hashbench.plugins import Format
from hashbench.results.matches.results import MatchResults, no_pictures
from hashbench.testing import sample_matches as sample

FOLDER: Final = Path(__file__).parent / "golden_matches"

PAGES: Final[dict[str, tuple[str, dict[str, object], MatchResults, int | None]]] = {
    "terminal.txt": ("terminal", {}, sample.ordinary(), 80),
    "wide.txt": ("terminal", {}, sample.ordinary(), 160),
    "losses.txt": ("terminal", {}, sample.with_losses(), 80),
    "file.txt": ("terminal", {}, sample.several_sets(), None),
    "markdown.md": ("markdown", {}, sample.several_sets(), None),
    "foreign.md": ("markdown", {}, sample.foreign(), None),
    "csv.csv": ("csv", {}, sample.ordinary(), None),
    "latex.tex": ("latex", {}, sample.ordinary(), None),
    "foreign.tex": ("latex", {"document": True}, sample.foreign(), None),
    "jsonl.jsonl": ("jsonl", {}, sample.with_losses(), None),
    "page.html": ("html", {}, replace(sample.ordinary(), gallery=no_pictures), None),
}
"""A format, its parameters, what is told, and a width, by the page's name."""


@pytest.mark.parametrize("page", PAGES)
def test_the_page_is_the_same_to_the_byte(page: str) -> None:
    name, parameters, matches, width = PAGES[page]
    form = plugins.get("format", name, **parameters)
    assert isinstance(form, Format)
    found = form.render_matches(matches, width=width).encode()
    if "REWRITE_GOLDEN" in os.environ:
        FOLDER.mkdir(exist_ok=True)
        (FOLDER / page).write_bytes(found)
        pytest.fail(f"{page} is written anew: read the difference, and test without REWRITE_GOLDEN")
    assert found.decode() == (FOLDER / page).read_bytes().decode()


def test_there_is_no_other_page() -> None:
    assert {path.name for path in FOLDER.iterdir()} == set(PAGES)
