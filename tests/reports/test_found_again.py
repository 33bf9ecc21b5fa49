"""A table says how many queries its database holds too."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from hashbench import plugins
from hashbench.plugins import Format
from hashbench.results.metrics import Metric

SAID = {0: "", 1: "1 query is in the database too", 3: "3 queries are in the database too"}


@pytest.mark.parametrize("name", ["terminal", "markdown"])
@pytest.mark.parametrize("found", SAID)
def test_the_note_stands_where_there_are_any(book: Any, name: str, found: int) -> None:
    book.clean("cgat", 0.7).attacked("cgat", "hag", 0.5)
    if found:
        cell = next(one for one in book.cells if one.cell.attack == "none")
        metrics = {**cell.metrics, Metric.QUERIES_IN_DATABASE.value: float(found)}
        book.cells[book.cells.index(cell)] = replace(cell, metrics=metrics)
    form = plugins.get("format", name)
    assert isinstance(form, Format)
    text = " ".join(str(form.render(book.results(), width=80)).split())
    assert SAID[found] in text
    assert ("in the database too" in text) == bool(found)
