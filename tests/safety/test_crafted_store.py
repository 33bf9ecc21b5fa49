"""Folders of results that a stranger made up: sums that are right, and content that is not."""

from __future__ import annotations

import csv
import io
import math
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.costs import Largest
from support.crafted import Craft, crafted
from support.trials import Trial, Trials

GOLDEN = Path(__file__).parents[1] / "golden"
PARTS = 30
"""One in so many of the folders is tried in the fast tests."""

TERMINALS = 5
"""One in so many of them is shown on a terminal too."""


@pytest.fixture(scope="module")
def trials() -> Iterator[Trials]:
    with Trials() as running:
        yield running


def check(trial: Trial, what: object) -> None:
    """Numbers that a run can have measured, or one sentence that names a file of the folder."""
    if not trial.out:
        sentence = " ".join(trial.err.split())
        assert trial.code in (1, 2), what
        assert sentence.startswith("Error:"), (what, sentence)
        assert ".json" in sentence, (what, sentence)
        return
    for row in csv.DictReader(io.StringIO(trial.out)):
        if row["status"] == "done":
            assert math.isfinite(float(row["value"])), (what, row)
            assert float(row["value"]) >= 0, (what, row)
            if row["metric"].startswith("map"):
                assert float(row["value"]) <= 1, (what, row)


def try_crafted(number: int, folder: Path, trials: Trials, first: int, step: int) -> None:
    """Report crafted folders of one format, as CSV and on a terminal."""
    largest, payload = Largest(), folder / "payload"
    cases: list[tuple[str, Craft]] = list(crafted(payload))
    assert len({name for name, _ in cases}) == len(cases) > 300
    for place, (name, craft) in enumerate(cases[first::step]):
        results = folder / "results"
        shutil.copytree(GOLDEN / f"format-{number}" / "results", results)
        craft(results)
        for shown in ("csv", "terminal") if place % TERMINALS == 0 else ("csv",):
            trial = trials.run("report", "results", "--format", shown, cwd=folder)
            largest.note(trial, (number, name, shown))
            if shown == "csv":
                check(trial, (number, name))
        assert not payload.exists(), name
        shutil.rmtree(results)
    largest.show()


@pytest.mark.parametrize("number", [3, 2])
def test_a_part_of_all_crafted_folders(number: int, tmp_path: Path, trials: Trials) -> None:
    try_crafted(number, tmp_path, trials, number, PARTS)


@pytest.mark.slow
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize(("number", "step"), [(3, 1), (2, 4)])
def test_all_crafted_folders(number: int, step: int, tmp_path: Path, trials: Trials) -> None:
    try_crafted(number, tmp_path, trials, 0, step)
