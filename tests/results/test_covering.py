"""Plans that a later one covers: not read, and nothing that is said of cells or runs differs."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hashbench.results import covering, planned
from hashbench.results.asked import Asked
from hashbench.results.covering import MAX_COVERED, covered_by
from hashbench.results.load import read_folders
from hashbench.results.results import Results
from hashbench.results.store import Store
from hashbench.results.sums import sealed
from support.handmade import CLEAN_CELL, HAG, NOISE, HandMade, edited, half_written

CELLS = [replace(cell, seed=seed) for seed in range(5) for cell in (CLEAN_CELL, HAG)]


@pytest.fixture
def folder(tmp_path: Path) -> HandMade:
    return HandMade(tmp_path / "results")


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the plans that are parsed."""
    names: list[str] = []
    whole = Store.plan

    def noted(store: Store, name: str) -> dict[str, Any]:
        names.append(name)
        return whole(store, name)

    monkeypatch.setattr(Store, "plan", noted)
    return names


def growing(folder: HandMade) -> None:
    """Five plans, each with the cells of those before it, as of another version of the model."""
    for count in range(1, 6):
        folder.plan(f"plan-{count}", CELLS[: 2 * count], version=count)
    for cell in CELLS:
        folder.score(cell, [0.5] * 3, version=5)


def as_told(results: Results) -> list[tuple[Any, ...]]:
    return [
        (run.suite, run.date, run.command, run.suite_text, sorted(run.cells))
        for run in results.asked
    ]


def without_covers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planned, "file_sum", lambda _: "of no file")


def test_the_last_of_growing_plans_is_the_only_one_that_is_read(
    folder: HandMade, parsed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    growing(folder)
    results = read_folders(folder.path)
    assert parsed == ["plan-5"]
    assert [run.suite for run in results.asked] == [f"plan-{count}" for count in range(1, 6)]
    told = as_told(results)
    assert parsed[1:] == [f"plan-{count}" for count in range(1, 5)]  # for their cells
    without_covers(monkeypatch)
    whole = read_folders(folder.path)
    assert whole.cells == results.cells
    assert as_told(whole) == told


def test_whatever_the_clock_of_the_files_says_the_results_are_the_same(folder: HandMade) -> None:
    growing(folder)
    before = read_folders(folder.path)
    for place, name in enumerate(folder.store.plan_names()):
        when = 1_000_000 - place  # the first plan is the newest file
        os.utime(folder.store.plan_path(name), (when, when))
    after = read_folders(folder.path)
    assert after.cells == before.cells
    assert as_told(after) == as_told(before)


def test_a_covered_plan_that_was_changed_is_read(folder: HandMade, parsed: list[str]) -> None:
    growing(folder)
    folder.plan("plan-2", [*CELLS, NOISE], version=6)  # asked for again, and more
    parsed.clear()
    results = read_folders(folder.path)
    assert "plan-2" in parsed
    assert results.asked[-1].suite == "plan-2"
    assert NOISE in {one.cell for one in results.cells}


@pytest.mark.parametrize("damage", [half_written, edited])
def test_a_covered_plan_that_was_damaged_is_told(folder: HandMade, damage: Any) -> None:
    growing(folder)
    path = folder.store.plan_path("plan-3")
    damage(path)
    (sentence,) = read_folders(folder.path).troubles
    assert sentence.startswith(f"{path}: ")


def test_a_covered_plan_that_was_deleted_is_no_run(folder: HandMade) -> None:
    growing(folder)
    folder.store.plan_path("plan-3").unlink()
    asked = read_folders(folder.path).asked
    assert [run.suite for run in asked] == ["plan-1", "plan-2", "plan-4", "plan-5"]


def test_a_plan_covers_neither_other_cells_nor_later_runs_nor_damage(folder: HandMade) -> None:
    folder.plan("other", [NOISE])
    half_written(folder.plan("damaged", CELLS[:2]))
    folder.plan("later", CELLS[:2], number=50)
    folder.plan("first", CELLS[:2], number=10)
    folder.plan("new", CELLS, number=20)
    assert set(folder.store.plan("new")["covers"]) == {"first"}


def test_a_note_that_is_not_of_an_earlier_run_is_not_believed(folder: HandMade) -> None:
    """Somebody wrote it by hand, with the right sum of the file: the later plan speaks."""
    path = folder.plan("late", [CLEAN_CELL], version=2, number=9)
    note = covered_by({"cells": [{"cell": vars(CLEAN_CELL)}], "number": 10}, [path])["late"]
    folder.plan("early", [CLEAN_CELL], version=1, number=3)
    plan = folder.store.plan("early")
    plan["covers"] = {"late": note}
    plan.pop("sha256")
    folder.store.plan_path("early").write_text(json.dumps(sealed(plan)))
    folder.score(CLEAN_CELL, [0.25] * 3, version=2)
    (result,) = read_folders(folder.path).cells
    assert result.metrics["map"] == 0.25


def test_numbers_of_covered_plans_count(folder: HandMade) -> None:
    growing(folder)
    assert folder.store.next_number() == 6
    # The plan that notes them is gone: each has its own.
    folder.store.plan_path("plan-5").unlink()
    assert folder.store.next_number() == 5


def test_a_plan_notes_a_bounded_number_of_others(
    folder: HandMade, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert MAX_COVERED >= 100
    monkeypatch.setattr(covering, "MAX_COVERED", 2)
    growing(folder)
    assert set(folder.store.plan("plan-5")["covers"]) == {"plan-3", "plan-4"}


def test_runs_that_are_looked_up_late_are_equal_to_those_that_are_not(folder: HandMade) -> None:
    growing(folder)
    first = read_folders(folder.path).asked[0]
    assert first == Asked(str(folder.path), "plan-1", frozenset(CELLS[:2]))
    assert len(first.cells) == 2
    assert CELLS[0] in first.cells
    assert CELLS[4] not in first.cells
