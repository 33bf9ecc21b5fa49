"""Several folders as one: where numbers come from, what contradicts, what cannot be read."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

import hashbench
from hashbench.errors import ResultsWarning, StoreError, UsageError
from hashbench.files import read_bytes
from hashbench.results import finished as finished_module
from hashbench.results import reading
from hashbench.results import store as store_module
from hashbench.results.cell import Cell, CellResult, Status
from hashbench.results.load import load_results, read_folders
from hashbench.results.results import Results
from hashbench.results.scored import measured
from hashbench.results.selection import Selection, selected
from hashbench.results.store import Failure
from hashbench.results.troubles import MOST
from support.handmade import (
    CLEAN_CELL,
    HAG,
    NOISE,
    WIDER,
    HandMade,
    address,
    done,
    edited,
    half_written,
    newer,
)


@pytest.fixture
def here(tmp_path: Path) -> HandMade:
    return HandMade(tmp_path / "here")


@pytest.fixture
def there(tmp_path: Path) -> HandMade:
    return HandMade(tmp_path / "there")


def of(results: Results, cell: Cell) -> CellResult:
    return next(one for one in results.cells if one.cell == cell)


def finished(folder: HandMade, *values: float, version: int = 0, number: int = 0) -> None:
    """A clean cell and an attacked one, done; every query has the cell's value."""
    folder.plan("grid", [CLEAN_CELL, HAG], version=version, number=number)
    for cell, value in zip((CLEAN_CELL, HAG), values, strict=True):
        folder.score(cell, [value] * 3, version=version)


# Where a number comes from


def test_a_number_says_where_it_comes_from(here: HandMade) -> None:
    here.plan("grid", [CLEAN_CELL, HAG])
    here.score(CLEAN_CELL, [0.5] * 3)
    about = {"environment": {"torch": "2.9", "gpu": "none"}, "written": "2026-02-03T04:05:06+00:00"}
    here.score(HAG, [0.25] * 3, about=about)
    found = of(load_results(here.path), HAG).provenance
    assert found is not None
    assert (found.folder, found.key) == (str(here.path), address(HAG, "scores").key)
    assert found.made == "2026-02-03T04:05:06+00:00"
    assert found.plugins == {"attack": "attack 0", "model": "model 0"}
    said = dict(found.environment)
    assert said.pop("hashbench") == hashbench.__version__
    said.pop("commit", None)
    said.pop("dirty", None)
    assert said == {"torch": "2.9", "gpu": "none", "device": "cpu", "threads": "3"}


def test_no_further_file_is_opened_for_it(here: HandMade, monkeypatch: pytest.MonkeyPatch) -> None:
    """Per cell: its record, its two files, the record of its attack; once each."""
    finished(here, 0.5, 0.25)
    here.attack(HAG, 6.0)
    opened: list[str] = []

    def counted(path: Path, *rest: Any, **more: Any) -> bytes:
        opened.append(path.name)
        return read_bytes(path, *rest, **more)

    for module in (finished_module, store_module):
        monkeypatch.setattr(module, "read_bytes", counted)
    results = load_results(here.path)
    assert of(results, HAG).seconds == 2.0
    # Of the clean cell an attack's record is looked for too: the plan names one.
    records = [name for name in opened if name == "done.json"]
    assert len(records) == 4
    assert sorted(set(opened)) == ["done.json", "per_query.npz", "scores.json"]
    assert len(opened) == 4 + 2 + 2


def test_a_cell_without_a_result_comes_from_nowhere(here: HandMade) -> None:
    here.plan("grid", [CLEAN_CELL])
    assert of(load_results(here.path), CLEAN_CELL).provenance is None


# Conflicts


@pytest.mark.parametrize("version", [0, 1], ids=["the same key", "another key"])
def test_different_values_of_a_cell_are_a_conflict_and_are_never_averaged(
    here: HandMade, there: HandMade, version: int
) -> None:
    finished(here, 0.5, 0.25, number=2)
    finished(there, 0.5, 0.75, version=version, number=1)
    results = load_results(here.path, there.path)
    (conflict,) = results.conflicts
    assert (conflict.cell, conflict.metric) == (HAG, "map")
    values = [said.metrics["map"] for said in conflict.measurements]
    folders = [said.provenance.folder for said in conflict.measurements]
    assert (values, folders) == ([0.25, 0.75], [str(here.path), str(there.path)])
    keys = [said.provenance.key for said in conflict.measurements]
    assert keys == [address(HAG, "scores", one).key for one in (0, version)]
    assert of(results, HAG).metrics["map"] == 0.25


def test_the_first_of_a_conflict_is_what_the_tables_hold(here: HandMade, there: HandMade) -> None:
    """With other keys the later run wins, in whatever order the folders are named."""
    finished(here, 0.5, 0.25, number=1)
    finished(there, 0.5, 0.75, version=1, number=2)
    for order in permutations((here.path, there.path)):
        results = load_results(*order)
        first, second = results.conflicts[0].measurements
        assert of(results, HAG).metrics["map"] == first.metrics["map"] == 0.75
        assert of(results, HAG).provenance == first.provenance
        assert second.metrics["map"] == 0.25


def test_every_folder_is_spoken_for_by_its_own_latest_plan(here: HandMade, there: HandMade) -> None:
    """What a folder's earlier plan said of a cell is no conflict; nor what it says no more."""
    finished(there, 0.5, 0.75, version=1, number=1)
    finished(there, 0.5, 0.25, version=2, number=2)
    finished(here, 0.5, 0.25, number=5)
    assert load_results(here.path, there.path).conflicts == ()
    # A later run attacks the model of another version otherwise: that cell counts as not run there.
    there.score(HAG, [0.9] * 3, version=3)
    there.plan("more", [CLEAN_CELL, NOISE], version=4, number=3)
    there.score(CLEAN_CELL, [0.5] * 3, version=4)
    assert load_results(here.path, there.path).conflicts == ()


@pytest.mark.parametrize(
    ("ours", "theirs", "differ"),
    [
        ([0.1, 0.2, 0.3], [0.1, 0.2, 0.3], False),
        ([0.1, 0.2, 0.3], [0.1, 0.2, 0.3 + 4e-10], False),
        ([0.1, 0.2, 0.3], [0.1, 0.2, 0.3 + 6e-9], True),
        ([0.1, 0.2, 0.3], [0.3, 0.2, 0.1], True),  # the mean is the same
    ],
)
def test_what_differs_by_the_noise_of_float_is_the_same(
    here: HandMade, there: HandMade, ours: list[float], theirs: list[float], differ: bool
) -> None:
    for folder, values in ((here, ours), (there, theirs)):
        folder.plan("grid", [CLEAN_CELL])
        folder.score(CLEAN_CELL, values, saturated=values[0])
    assert bool(load_results(here.path, there.path).conflicts) == differ


def test_three_folders_are_all_told(tmp_path: Path) -> None:
    folders = [HandMade(tmp_path / name) for name in "abc"]
    for folder, value in zip(folders, (0.25, 0.25, 0.5), strict=True):
        finished(folder, 0.5, value)
    (conflict,) = load_results(*(folder.path for folder in folders)).conflicts
    assert [said.metrics["map"] for said in conflict.measurements] == [0.25, 0.25, 0.5]


def test_a_folder_that_is_named_twice_is_read_once(
    here: HandMade, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finished(here, 0.5, 0.25)
    (tmp_path / "link").symlink_to(here.path)
    read: list[str] = []

    def counted(store: Any, place: Any, protocol: Any, **more: Any) -> Any:
        read.append(place.key)
        return measured(store, place, protocol, **more)

    monkeypatch.setattr(reading, "measured", counted)
    once = load_results(here.path)
    count = len(read)
    twice = load_results(here.path, tmp_path / "link", here.path / ".")
    assert len(read) == 2 * count
    assert twice.cells == once.cells
    assert len(twice.asked) == 1


def test_cells_of_one_folder_alone_are_read_once(
    here: HandMade, there: HandMade, monkeypatch: pytest.MonkeyPatch
) -> None:
    here.plan("a", [CLEAN_CELL, HAG])
    here.score(CLEAN_CELL, [0.5] * 3)
    here.score(HAG, [0.5] * 3)
    there.plan("b", [CLEAN_CELL, NOISE])
    there.score(CLEAN_CELL, [0.5] * 3)
    there.score(NOISE, [0.5] * 3)
    found: list[str] = []

    def counted(store: Any, place: Any, protocol: Any, **more: Any) -> Any:
        answer = measured(store, place, protocol, **more)
        found.extend([place.key] if answer is not None else [])
        return answer

    monkeypatch.setattr(reading, "measured", counted)
    load_results(here.path, there.path)
    assert sorted(found) == sorted(
        address(cell, "scores").key for cell in (CLEAN_CELL, CLEAN_CELL, HAG, NOISE)
    )


def test_a_part_has_the_conflicts_of_its_cells(here: HandMade, there: HandMade) -> None:
    finished(here, 0.5, 0.25)
    finished(there, 0.25, 0.5)
    whole = load_results(here.path, there.path)
    assert [conflict.cell for conflict in whole.conflicts] == [HAG, CLEAN_CELL]
    here.plan("more", [NOISE])
    part = selected(load_results(here.path, there.path), Selection(attack=("noise",)))
    assert [conflict.cell for conflict in part.conflicts] == [CLEAN_CELL]


def test_the_frame_tells_what_the_other_folder_says(here: HandMade, there: HandMade) -> None:
    finished(here, 0.5, 0.25)
    finished(there, 0.5, 0.75)
    frame = load_results(here.path, there.path).to_frame()
    (row,) = frame[frame["metric"] == "conflict(map)"].itertuples()
    assert (row.attack, row.value) == ("hag", 0.75)
    assert str(row.reason).startswith(f"folder {there.path} says so, with the key ")
    values = frame[(frame["metric"] == "map") & (frame["attack"] == "hag")]["value"]
    assert list(values) == [0.25]


# What cannot be read

Damage = Callable[[Path], None]


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def replaced_by_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def deleted(path: Path) -> None:
    path.unlink()


def linked(path: Path) -> None:
    path.rename(path.with_suffix(".kept"))
    path.symlink_to(path.with_suffix(".kept"))


PLAN_DAMAGE: dict[str, tuple[Damage, str]] = {
    "half-written": (half_written, "cannot be read; run the suite again to mend it"),
    "empty": (emptied, "cannot be read; run the suite again to mend it"),
    "edited": (edited, "its content is not what its sum says it was"),
    "newer": (newer, "written in format 4, this hashbench reads up to 3: update it"),
    "a folder": (replaced_by_a_folder, "cannot be read; run the suite again to mend it"),
    "a link": (linked, "it is a link, expected a file"),
}


@pytest.mark.parametrize("kind", PLAN_DAMAGE)
def test_a_damaged_plan_is_told_and_the_others_are_read(here: HandMade, kind: str) -> None:
    here.plan("good", [CLEAN_CELL])
    here.score(CLEAN_CELL, [0.5] * 3)
    path = here.plan("bad", [HAG])
    damage, words = PLAN_DAMAGE[kind]
    damage(path)
    with pytest.warns(ResultsWarning) as warned:
        results = load_results(here.path)
    (sentence,) = results.troubles
    assert sentence.startswith(f"{path}: ")
    assert words in sentence
    assert [str(one.message) for one in warned] == [sentence]
    assert [(one.cell, one.status) for one in results.cells] == [(CLEAN_CELL, Status.DONE)]
    path.with_name("good.json").unlink()
    with pytest.raises(StoreError) as raised:
        load_results(here.path)
    assert str(raised.value) == sentence


RESULT_DAMAGE: dict[str, tuple[str, Damage, str]] = {
    f"{name} {kind}": (name, damage, words)
    for name in ("scores.json", "per_query.npz", "done.json")
    for kind, damage, words in tuple[tuple[str, Damage, str], ...](
        (
            ("half-written", half_written, ": "),
            ("empty", emptied, ": "),
            ("gone", deleted, ": "),
            ("a link", linked, "it is a link"),
        )
    )
}
RESULT_DAMAGE |= {
    "done.json edited": ("done.json", edited, "its content is not what its sum says it was"),
    "done.json newer": ("done.json", newer, "this hashbench reads up to 3: update it"),
    "scores.json edited": ("scores.json", edited, "its content is not what done.json says it was"),
}


@pytest.mark.parametrize("kind", RESULT_DAMAGE)
def test_a_damaged_result_is_told_with_its_file_and_the_others_are_read(
    here: HandMade, there: HandMade, kind: str
) -> None:
    name, damage, words = RESULT_DAMAGE[kind]
    finished(here, 0.5, 0.25)
    shutil.copytree(here.path, there.path)
    path = here.path / address(HAG, "scores").path / name
    damage(path)
    results = read_folders(here.path)
    (sentence,) = results.troubles
    assert sentence.startswith(f"{path}: ")
    assert words in sentence
    assert "its cell counts as not run" in sentence
    assert "not-read" not in set(results.to_frame()["metric"])  # the cell's own row says it
    assert ("running the suite again mends it" in sentence) == (kind != "done.json newer")
    assert of(results, CLEAN_CELL).status is Status.DONE
    assert of(results, HAG).status is Status.MISSING
    # A copy elsewhere stands for it, and that is told too.
    for order in permutations((here.path, there.path)):
        both = read_folders(*order)
        assert of(both, HAG).status is Status.DONE
        assert both.conflicts == ()
        (sentence,) = both.troubles
        assert sentence.startswith(f"{path}: ")
        assert "another folder's stands" in sentence


def test_the_damaged_record_of_an_attack_costs_its_seconds_alone(here: HandMade) -> None:
    finished(here, 0.5, 0.25)
    path = done(here.attack(HAG, 6.0))
    edited(path)
    results = read_folders(here.path)
    assert (of(results, HAG).status, of(results, HAG).seconds) == (Status.DONE, None)
    (sentence,) = results.troubles
    assert sentence.startswith(f"{path}: ")
    assert "what its attack cost is not known" in sentence


def test_the_damaged_note_of_a_failure_is_told(here: HandMade) -> None:
    here.plan("grid", [HAG])
    here.store.fail(address(HAG, "adversarial"), Failure("it broke"))
    assert read_folders(here.path).troubles == ()
    half_written(path := here.store.failure_path(address(HAG, "adversarial")))
    results = read_folders(here.path)
    assert of(results, HAG).status is Status.MISSING
    (sentence,) = results.troubles
    assert sentence.startswith(f"{path}: the note of a failure cannot be read")


def test_many_damaged_results_are_counted(here: HandMade) -> None:
    cells = [replace(CLEAN_CELL, seed=seed) for seed in range(MOST + 7)]
    here.plan("grid", cells)
    for cell in cells:
        half_written(here.score(cell, [0.5] * 3) / "scores.json")
    troubles = read_folders(here.path).troubles
    assert len(troubles) == MOST + 1
    assert troubles[-1] == "and 7 more damaged results"


def test_a_folder_without_results_among_several_is_told(here: HandMade, tmp_path: Path) -> None:
    finished(here, 0.5, 0.25)
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    with pytest.warns(ResultsWarning):
        results = load_results(
            tmp_path / "empty", here.path, tmp_path / "nowhere", tmp_path / "file"
        )
    assert [one.status for one in results.cells] == [Status.DONE] * 2
    empty, nowhere, file = results.troubles
    assert empty.startswith(f"folder {tmp_path}/empty: no results in it; 'hashbench run --out ")
    assert nowhere.startswith(f"folder {tmp_path}/nowhere: no such folder")
    assert file.startswith(f"folder {tmp_path}/file: is a file")
    with pytest.raises(UsageError, match="empty: no results in it"):
        load_results(tmp_path / "empty", tmp_path / "nowhere")


def test_a_folder_with_results_and_no_plan_helps_another(here: HandMade, there: HandMade) -> None:
    here.plan("grid", [CLEAN_CELL])
    there.score(CLEAN_CELL, [0.5] * 3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        results = load_results(here.path, there.path)
    assert of(results, CLEAN_CELL).status is Status.DONE
    assert results.troubles == ()


def test_what_could_not_be_read_is_said_by_the_frame_and_the_summary(here: HandMade) -> None:
    finished(here, 0.5, 0.25)
    half_written(here.plan("bad", [NOISE]))
    results = read_folders(here.path)
    frame = results.to_frame()
    (row,) = frame[frame["metric"] == "not-read"].itertuples()
    assert (row.dataset, row.bits, row.reason) == ("", 0, results.troubles[0])
    assert frame["bits"].dtype.kind == frame["seed"].dtype.kind == "i"
    assert "not all was read, .troubles" in repr(results)
    assert "not all was read, .troubles" in results._repr_html_()


def test_plans_of_two_protocols_stand_apart(here: HandMade) -> None:
    finished(here, 0.5, 0.25)
    wider = [replace(cell, protocol=WIDER.hash) for cell in (CLEAN_CELL, HAG)]
    here.plan("wider", wider)
    for cell in wider:
        here.score(cell, [0.75] * 3)
    results = load_results(here.path)
    assert len(results.cells) == 4
    assert results.conflicts == ()
    assert results.troubles == ()
