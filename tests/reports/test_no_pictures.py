"""A format that shows no pictures loads none: a report of thousands of cells stays quick."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hashbench import plugins
from hashbench.plugins import Format
from hashbench.plugins.kinds import Kind
from hashbench.results.cell import CLEAN, Cell, Status
from hashbench.results.gallery import Gallery
from hashbench.testing import sample_results

SHOW_PICTURES = {"html"}
NAMES = sorted(set(plugins.registry(Kind.FORMAT).names(Kind.FORMAT)) - SHOW_PICTURES)


def test_there_are_formats_to_look_at() -> None:
    assert {"csv", "markdown", "plots", "terminal"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_format_without_pictures_asks_for_none(name: str) -> None:
    asked: list[Cell] = []

    def gallery(cell: Cell) -> Gallery | None:
        asked.append(cell)
        return None

    form = plugins.get("format", name)
    assert isinstance(form, Format)
    for results in (sample_results.ordinary(), sample_results.several_groups()):
        spied = replace(results, gallery=gallery)
        if form.is_text:
            form.render(spied)
        else:
            form.files(spied)
    assert not asked


def test_samples_have_galleries_conflicts_and_troubles() -> None:
    ordinary, merged = sample_results.ordinary(), sample_results.several_groups()
    for result in (*ordinary.cells, *sample_results.with_losses().cells):
        attacked = result.cell.attack != CLEAN and result.status is Status.DONE
        shown = ordinary.gallery(result.cell)
        if result in ordinary.cells:
            assert (shown is not None) == attacked
    (conflict,) = merged.conflicts
    first, second = conflict.measurements
    result = next(one for one in merged.cells if one.cell == conflict.cell)
    assert first.metrics == result.metrics  # the first one stands in the tables
    assert second.metrics[conflict.metric] != first.metrics[conflict.metric]
    assert len(merged.troubles) == 1
    foreign = sample_results.foreign()
    assert sample_results.FOREIGN in foreign.troubles[0]
    gallery = next(filter(None, (foreign.gallery(one.cell) for one in foreign.cells)))
    assert gallery.exhibits[0].labels == (sample_results.SCRIPT,)
