"""A folder of results that was damaged: what it reports is right, or it says what is wrong.

Each command runs in a fork of its own (`support.trials`). The largest figures are printed; the
whole of it is `slow`, a part of it is not.
"""

from __future__ import annotations

import csv
import io
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.costs import Largest
from support.damage import DAMAGES, damaged
from support.trials import Trial, Trials

GOLDEN = Path(__file__).parents[1] / "golden"
FORMATS = (3, 2, 1)
PARTS = 20
"""Of all damages, the first of so many parts is tried in the fast tests."""

Rows = dict[tuple[str, ...], tuple[str, ...]]


@pytest.fixture(scope="module")
def trials() -> Iterator[Trials]:
    with Trials() as running:
        yield running


def rows_of(text: str) -> Rows:
    """The rows of a CSV: what tells them apart, and what they say."""
    lines = csv.DictReader(io.StringIO(text))
    told = ("value", "status", "reason")
    return {
        tuple(value for name, value in line.items() if name not in told): tuple(
            line[name] for name in told
        )
        for line in lines
    }


def check(trial: Trial, whole: Rows, what: object, changed: Path) -> None:
    """The CSV is right in all that it says is done, or one sentence names the file."""
    if not trial.out:
        sentence = " ".join(trial.err.split())
        assert trial.code in (1, 2), what
        assert changed.name in sentence or str(changed.parent) in sentence, (what, sentence)
        assert sentence.startswith("Error:"), (what, sentence)
        return
    found = rows_of(trial.out)
    for key, told in found.items():
        if told[1] == "done" and not key[8].startswith("flag("):
            assert whole.get(key) == told, (what, key, told, whole.get(key))
    cells = {key[:8] for key in found}
    if changed.parent.name != "plans":
        assert cells == {key[:8] for key in whole}, what


def try_damages(number: int, folder: Path, trials: Trials, seeds: range, largest: Largest) -> None:
    """Damage files of a golden folder, one at a time, and report it."""
    shutil.copytree(GOLDEN / f"format-{number}" / "results", folder / "results")
    files = sorted(path for path in (folder / "results").rglob("*") if path.is_file())
    report = ("report", "results", "--format")
    whole = rows_of(trials.run(*report, "csv", cwd=folder).out)
    assert len(whole) > 100
    for seed in seeds:
        rng = random.Random(seed)
        path, name = rng.choice(files), rng.choice(sorted(DAMAGES))
        what = (number, seed, name, str(path.relative_to(folder)))
        with damaged(path, name, rng, files):
            trial = trials.run(*report, "csv", cwd=folder)
            largest.note(trial, what)
            if name == "delete" and path.parent.name == "plans":
                continue  # nobody can know that it was there
            check(trial, whole, what, path.relative_to(folder))
            if seed % 10 == 0:
                largest.note(trials.run(*report, "terminal", cwd=folder), what)
    assert rows_of(trials.run(*report, "csv", cwd=folder).out) == whole


@pytest.mark.parametrize("number", FORMATS)
def test_a_part_of_all_damages(number: int, tmp_path: Path, trials: Trials) -> None:
    largest = Largest()
    first = 1_000 * number
    seeds = range(first, first + 2_000 // PARTS // len(FORMATS))
    try_damages(number, tmp_path, trials, seeds, largest)
    largest.show()


@pytest.mark.slow
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("number", FORMATS)
def test_all_damages(number: int, tmp_path: Path, trials: Trials) -> None:
    """2,000 of them, over the three formats."""
    largest, seeds = Largest(), range(1_000 * number, 1_000 * number + 2_000 // len(FORMATS) + 1)
    try_damages(number, tmp_path, trials, seeds, largest)
    largest.show()
