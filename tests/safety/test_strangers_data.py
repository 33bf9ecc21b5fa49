"""Folders that strangers wrote end in one sentence: no traceback, no hang, little memory.

Each is read by `data check` and by `run --dry-run`. What is held against the limits is memory; the
time is printed (`-s`), and asserted only in that nothing hangs.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from operator import itemgetter
from pathlib import Path
from random import Random

import pytest

from hashbench.plugins.paths import MAX_PATH
from support.crafted_layouts import crafted_layouts
from support.crafted_lists import Crafted, crafted_lists
from support.crafted_sets import crafted_sets
from support.trials import Trial, Trials

SEED = 12
LIMIT = 200
"""Megabytes beyond the imports."""

CASES = [
    *crafted_lists(Random(SEED)),
    *crafted_sets(Random(SEED)),
    *crafted_layouts(Random(SEED)),
]
STEERING = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]")


@pytest.fixture(scope="module")
def trials() -> Iterator[Trials]:
    with Trials() as running:
        yield running


@pytest.fixture(scope="module")
def largest() -> Iterator[list[tuple[float, float, str]]]:
    """Seconds, megabytes and name of every case; what took most is told at the end (`-s`)."""
    told: list[tuple[float, float, str]] = []
    yield told
    for place, what in enumerate(("processor time", "memory")):
        for entry in sorted(told, key=itemgetter(place), reverse=True)[:8]:
            sys.stdout.write(f"{what}: {entry[0]:.2f} s, {entry[1]:.0f} MB, {entry[2]}\n")


def everything(folder: Path) -> dict[str, tuple[int, int]]:
    """Size and time of change of all below a folder."""
    found = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        found[str(path)] = (status.st_size, status.st_mtime_ns)
    return found


def judge(trial: Trial) -> None:
    """What must hold of every command on every folder."""
    both = trial.out + trial.err
    assert not trial.hung
    assert not trial.crashed, trial.err
    assert trial.code in (0, 1, 2), both
    assert trial.megabytes <= LIMIT
    assert not STEERING.search(both), repr(both)
    assert "site-packages" not in both
    assert "Warning" not in both
    assert max(map(len, both.splitlines()), default=0) < MAX_PATH + 1_000
    if trial.code == 2:
        assert trial.err.startswith("Error: ")
        assert trial.err.count("\n") == 1


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_folder_ends_in_one_sentence(
    case: Crafted,
    trials: Trials,
    tmp_path: Path,
    largest: list[tuple[float, float, str]],
) -> None:
    root, cache, elsewhere = tmp_path / "data", tmp_path / "cache", tmp_path / "elsewhere"
    elsewhere.mkdir()
    case.write(root)
    before = everything(root)
    env = {"HASHBENCH_CACHE": str(cache), "HOME": str(elsewhere), "TMPDIR": str(elsewhere)}
    given = ("--root", str(root))
    checked = trials.run("data", "check", case.dataset, *given, cwd=elsewhere, env=env)
    planned = trials.run(
        "run", "--dataset", case.dataset, *given, "--dry-run", cwd=elsewhere, env=env
    )
    for trial in (checked, planned):
        judge(trial)
    largest.append((max(checked.seconds, planned.seconds), checked.megabytes, case.name))
    assert everything(root) == before
    assert not everything(elsewhere)
    assert not set(tmp_path.iterdir()) - {root, cache, elsewhere}
    if checked.code == 2:  # the file at fault, or the other one that it does not fit
        stem = Path(case.broken).name.partition("_")[0].partition(".")[0]
        too_few = case.dataset == "cifar10" and "images of each class are needed" in checked.err
        assert stem in checked.err or too_few
    else:
        assert not checked.err
    if checked.code == 1:
        assert re.search(r"^  \S.*: .* \(.*\)$|^  query ", checked.out, re.MULTILINE)


def test_there_are_many_cases_of_every_kind() -> None:
    assert len({case.name for case in CASES}) == len(CASES) > 200
    assert {case.dataset.partition(":")[0] for case in CASES} == {
        "lists",
        "ms-coco",
        "nus-wide",
        "fashion-mnist",
        "cifar10",
        "image-folder",
        "csv",
        "metadata",
        "huggingface",
    }
