"""One page of every format, whole, as it was last looked at: tests/reports/golden/.

What it says is tested as facts elsewhere; here stand its words and its layout. After a change that
is meant, write the pages anew and read the difference:

    REWRITE_GOLDEN=1 python -P -m pytest -q tests/reports/test_golden.py; git diff tests/reports
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hashbench import plugins
from hashbench.plugins import Aim, Format
from hashbench.results.cell import Status
from hashbench.results.results import Results

FOLDER = Path(__file__).parent / "golden"
PUBLISHED: dict[str, object] = {"published": (str(FOLDER / "published.csv"),)}

PAGES: dict[str, tuple[str, dict[str, object], int | None]] = {
    "terminal.txt": ("terminal", PUBLISHED, 80),
    "file.txt": ("terminal", PUBLISHED, None),
    "markdown.md": ("markdown", PUBLISHED, None),
    "csv.csv": ("csv", {}, None),
    "page.html": ("html", PUBLISHED, None),
    "latex.tex": ("latex", PUBLISHED, None),
    "document.tex": ("latex", {"document": True, "details": True}, None),
    "jsonl.jsonl": ("jsonl", {}, None),
}
"""A format, its parameters and a width, by the page's name."""

HOSTILE = "odd|<b>x</b>`code`*\x1b[31m"


@pytest.fixture
def results(book: Any) -> Results:
    """Two seeds of what a report has to say: ranked, failed, flagged, not run, targeted, odd."""
    for seed in (0, 1):
        up = 0.01 * seed
        book.clean("none", 0.721 + up, seed).attacked("none", "noise", 0.702 + up, seed)
        book.attacked("none", "hag", 0.171 + up, seed, forwards=100.5)
        book.attacked("none", "pgd-hamming:steps=20", 0.071 + up, seed)
        book.targeted("none", "tha", 0.812 + up, own=0.031, seed=seed)
        for defense, height in (("cgat:inner_steps=14", 0.2), ("atrdh", 0.1)):
            book.clean(defense, 0.691 + up, seed, distinct_codes=2345.0)
            book.attacked(defense, "noise", 0.683 + up, seed)
            book.attacked(defense, "pgd-hamming:steps=20", 0.321 + height + up, seed)
        book.attacked("cgat:inner_steps=14", "hag", 0.602 + up, seed, seconds=None)
        book.targeted("cgat:inner_steps=14", "tha", 0.412 + up, own=0.352, seed=seed)
        book.clean("flat", 0.1, seed, distinct_codes=1.0, bit_entropy=0.0, floor=0.1)
        for attack in ("noise", "hag", "pgd-hamming:steps=20"):
            book.attacked("flat", attack, 0.1, seed, zero_gradients=1.0)
        book.targeted("flat", "tha", 0.1, own=0.1, seed=seed)
    book.attacked("atrdh", "hag", 0.433)
    book.lost("atrdh", "hag", "attack 'hag' must return finite images", seed=1)
    book.targeted("atrdh", "tha", 0.503, own=0.422)
    book.lost("atrdh", "tha", "it left the ball", seed=1, aim=Aim.TARGETED)
    few = {"map(ties=worst)": 0.141, "map(ties=best)": 0.823}
    book.clean(HOSTILE, 0.402, **few).attacked(HOSTILE, "noise", 0.351)
    book.attacked(HOSTILE, "hag", 0.397).lost(HOSTILE, "tha", "", status=Status.MISSING)
    book.lost(HOSTILE, "pgd-hamming:steps=20", "it was not run", status=Status.MISSING)
    made: Results = book.results()
    # Hashes of these pages' own: how a card is hashed is no matter of a report.
    (protocol,) = made.protocols.values()
    cells = [replace(c, cell=replace(c.cell, protocol="1234abcd" * 8)) for c in made.cells]
    return replace(made, cells=tuple(cells), protocols={"1234abcd" * 8: protocol})


@pytest.mark.parametrize("page", PAGES)
def test_the_page_is_the_same_to_the_byte(results: Results, page: str) -> None:
    name, parameters, width = PAGES[page]
    form = plugins.get("format", name, **parameters)
    assert isinstance(form, Format)
    (found,) = form.files(results, width=width).values()
    if "REWRITE_GOLDEN" in os.environ:
        (FOLDER / page).write_bytes(found)
        pytest.fail(f"{page} is written anew: read the difference, and test without REWRITE_GOLDEN")
    assert found.decode() == (FOLDER / page).read_bytes().decode()


def test_every_format_of_text_has_a_page() -> None:
    ours = plugins.registry(plugins.Kind.FORMAT).entries.values()
    found = [entry for entries in ours for entry in entries]
    texts = {entry.plugin for entry in found if entry.origin.source == "hashbench"}
    names = {t.card.name for t in texts if issubclass(t, Format) and t.files is Format.files}
    assert names == {name for name, _, _ in PAGES.values()}
    assert {path.name for path in FOLDER.iterdir()} == {*PAGES, "published.csv"}
