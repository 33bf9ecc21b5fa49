"""Which run speaks for a cell: the last one of a folder, whatever clocks say; never two at once."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from hashbench.results.sums import sealed
from support.trials import Trials

GOLDEN = Path(__file__).parents[1] / "golden"
OPTIONS = """dataset = "tiny:contrast=60"
backbone = "small-cnn:width=4,hidden=16"
bits = 8
eps = "24/255"
training = { epochs = 2, batch = 8 }
"""
PLUGINS = '''"""Plugins that are edited."""

from dataclasses import dataclass

from hashbench.defending import InputTransformation
from hashbench.plugins import Access, Attack, attack, defense


@attack("mine", access=Access.NONE, knowledge=())
@dataclass(frozen=True)
class Mine(Attack):
    """Brightens."""

    def perturb(self, model, images, goal, threat, rng):
        return threat.project(images + SIZE * threat.radius, images)

    def passes(self):
        return 0


@defense("darker")
@dataclass(frozen=True)
class Darker(InputTransformation):
    """Darkens."""

    def transform(self, images):
        return images * SIZE
'''

Told = dict[tuple[str, str, str], tuple[str, str]]
"""Status and reason by defense, attack and seed."""


class Bench:
    """A folder with plugins in two versions."""

    def __init__(self, folder: Path, trials: Trials) -> None:
        self.folder, self.trials = folder, trials
        shutil.copy(GOLDEN / "tiny.py", folder)

    def run(self, size: float, *options: str, out: str = "results") -> str:
        """Run a version of the plugins; returns what is said at the end."""
        (self.folder / "mine.py").write_text(PLUGINS.replace("SIZE", str(size)))
        (self.folder / "suite.toml").write_text('plugin = ["tiny.py", "mine.py"]\n' + OPTIONS)
        trial = self.trials.run("run", "suite.toml", "--out", out, *options, cwd=self.folder)
        assert trial.code == 0, trial.err
        return trial.err

    def csv(self, *folders: str) -> str:
        """The report of some folders."""
        folders = folders or ("results",)
        trial = self.trials.run("report", *folders, "--format", "csv", cwd=self.folder)
        assert trial.out, trial.err
        return trial.out

    def told(self, *folders: str) -> Told:
        """What is said of each cell."""
        rows = csv.DictReader(io.StringIO(self.csv(*folders)))
        return {
            (row["defense"], row["attack"], row["seed"]): (row["status"], row["reason"])
            for row in rows
            if row["attack"] != "worst-case"
        }

    def set_clock(self, asked: str) -> None:
        """All runs of the folder were asked for then."""
        for path in (self.folder / "results/plans").iterdir():
            plan = json.loads(path.read_text())
            path.write_text(json.dumps(sealed(plan | {"asked": asked})))


@pytest.fixture(scope="module")
def trials() -> Iterator[Trials]:
    with Trials() as running:
        yield running


@pytest.fixture
def bench(tmp_path: Path, trials: Trials) -> Bench:
    return Bench(tmp_path, trials)


def test_the_last_run_speaks_whatever_the_clock_says(bench: Bench) -> None:
    """The clock went back, or the folder comes from a machine whose clock is ahead."""
    mine = ("--defense", "none", "--attack", "mine")
    bench.run(0.5, *mine)
    old = bench.csv()
    bench.set_clock("2999-01-01T00:00:00+00:00")
    assert "2 of 2 cells done" in bench.run(1.0, *mine)
    new = bench.csv()
    bench.run(1.0, *mine, out="fresh")
    assert new == bench.csv("fresh") != old
    # Asked for once more, the old version is the last one again, of the same plan's name.
    bench.set_clock("2999-01-01T00:00:00+00:00")
    bench.run(0.5, *mine)
    assert bench.csv() == old


def test_folders_that_are_merged_never_show_two_versions_as_done(bench: Bench) -> None:
    """A row of one model attacked in two versions; whichever folder is copied over the other."""
    both = ("--attack", "mine", "--defense")
    bench.run(0.5, *both, "none", "--defense", "darker", out="a")
    bench.run(1.0, *both, "none", out="b")
    for first, second in (("a", "b"), ("b", "a")):
        merged = f"{first}{second}"
        shutil.copytree(bench.folder / first, bench.folder / merged)
        shutil.copytree(bench.folder / second, bench.folder / merged, dirs_exist_ok=True)
        assert bench.csv(merged) == bench.csv(first, second) == bench.csv("a", "b")
    told = bench.told("ab")
    of_mine = {told[defense, "mine", "0"][0] for defense in ("none", "darker")}
    assert of_mine == {"done", "not run"} or of_mine == {"not run"}
    assert "made with an earlier version of this attack" in str(told)
    # The next run in the merged folder is the last, and its cells are all shown.
    bench.run(1.0, *both, "none", "--defense", "darker", out="ab")
    assert {status for status, _ in bench.told("ab").values()} == {"done"}


def test_a_mean_over_seeds_is_never_of_two_versions_of_a_defense(bench: Bench) -> None:
    one = ("--attack", "noise", "--defense", "darker", "--seed")
    bench.run(0.5, *one, "0")
    bench.run(0.7, *one, "1")
    told = bench.told()
    assert {told["darker", attack, "1"][0] for attack in ("none", "noise")} == {"done"}
    for attack in ("none", "noise"):
        status, reason = told["darker", attack, "0"]
        assert status == "not run"
        assert "earlier version of this model" in reason
    bench.run(0.7, *one, "0")
    assert {status for status, _ in bench.told().values()} == {"done"}


def test_plans_of_older_formats_come_before_all_that_have_a_number(bench: Bench) -> None:
    """And among themselves they go by the clock, as they always did."""
    mine = ("--defense", "none", "--attack", "mine")
    bench.run(1.0, *mine)
    new = bench.csv()
    for version in (1, 2):  # as those formats write a plan, with no result
        plan = json.loads((next((bench.folder / "results/plans").iterdir())).read_text())
        older = {
            "schema": version,
            "asked": f"299{version}",
            "number": 99,  # which no reader of that format looks at
            "cells": [
                {
                    "cell": cell["cell"],
                    "scores": {"kind": "scores", "slug": "score", "key": f"{version}" * 64},
                    "steps": [],
                    "attack": "older",
                }
                for cell in plan["cells"]
            ],
            **{name: plan[name] for name in ("protocols", "trainings", "suite")},
        }
        path = bench.folder / "results/plans" / f"{version}.json"
        path.write_text(json.dumps(sealed(older)))
    assert bench.csv() == new
