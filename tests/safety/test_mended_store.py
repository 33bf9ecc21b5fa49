"""A run on a damaged folder makes again what is damaged, and touches nothing outside of it."""

from __future__ import annotations

import random
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from hashbench.results.sums import SCHEMA
from support.damage import DAMAGES
from support.trials import Trial, Trials

# What a run says to a plan that a newer hashbench wrote: its path and its format.
STATED = re.compile(r"(results/plans/\w+\.json): written in format (\d+)(?:\.\.\.)?, ")
GOLDEN = Path(__file__).parents[1] / "golden"
SUITE = """name = "mended"
plugin = ["tiny.py"]
dataset = "tiny:contrast=60"
backbone = "small-cnn:width=4,hidden=16"
bits = 8
defense = "jpeg"
attack = ["noise", "transfer:steps=2"]
eps = "24/255"
training = { epochs = 2, batch = 8 }
"""


class Store:
    """A finished folder, beside one that must stay as it is."""

    def __init__(self, folder: Path, trials: Trials) -> None:
        self.folder, self.trials = folder, trials
        self.results, self.outside = folder / "results", folder / "outside"
        shutil.copy(GOLDEN / "tiny.py", folder)
        (folder / "suite.toml").write_text(SUITE)
        self.outside.mkdir()
        (self.outside / "precious").write_text("precious")
        assert self.run().code == 0
        self.whole = self.report().out
        assert "done" in self.whole

    def run(self) -> Trial:
        """Run the suite; whatever happens, it does not crash."""
        trial = self.trials.run("run", "suite.toml", "--out", "results", cwd=self.folder)
        assert not trial.hung
        assert not trial.crashed, trial.err
        assert [path.name for path in self.outside.iterdir()] == ["precious"]
        assert (self.outside / "precious").read_text() == "precious"
        return trial

    def report(self) -> Trial:
        """The folder's CSV."""
        return self.trials.run("report", "results", "--format", "csv", cwd=self.folder)

    def files(self) -> list[Path]:
        """All that damage can fall on.

        What a finished score needs no more stays damaged: links to devices, files without an end.
        """
        return sorted(
            path
            for path in self.results.rglob("*")
            if path.is_file() and not path.is_symlink() and path.name != ".lock"
            if path.stat().st_size < 2**24
        )


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with Trials() as trials:
        yield Store(tmp_path_factory.mktemp("mended"), trials)


def mend(store: Store, seeds: range) -> None:
    """Damage one file or more, run, and look at what there is."""
    for seed in seeds:
        rng, files = random.Random(seed), store.files()
        plans = {path: path.read_bytes() for path in files if path.parent.name == "plans"}
        what = []
        for path in rng.sample(files, rng.choice((1, 1, 4))):
            name = rng.choice(sorted(DAMAGES))
            what.append((name, str(path.relative_to(store.results))))
            if rng.random() < 0.2:
                name, place = (
                    "link outside",
                    rng.choice((store.outside, store.outside / "precious")),
                )
                path.unlink()
                path.symlink_to(place)
            else:
                DAMAGES[name](path, rng, [*store.files(), store.outside / "precious"])
        trial = store.run()
        if trial.code == 2 and (stated := STATED.search(trial.err)):
            # A plan of a newer hashbench is not damage: it is left, and its version can go on.
            newer = store.folder / stated[1]
            assert newer.read_bytes() != plans[newer], (seed, what)
            assert int(stated[2]) > SCHEMA
            newer.write_bytes(plans[newer])
            trial = store.run()
        assert trial.code == 0, (seed, what, trial.err)
        assert store.report().out == store.whole, (seed, what)


def test_a_plan_of_a_newer_hashbench_is_left_and_said(store: Store) -> None:
    plan = next((store.results / "plans").glob("*.json"))
    content = plan.read_bytes()
    for schema in (SCHEMA + 1, 99):
        plan.write_bytes(re.sub(rb'"schema": ?\d+', b'"schema": %d' % schema, content))
        changed = plan.read_bytes()
        assert changed != content
        trial = store.run()
        assert trial.code == 2
        stated = STATED.search(trial.err)
        assert stated
        assert stated.groups() == (str(plan.relative_to(store.folder)), str(schema))
        assert plan.read_bytes() == changed
    plan.write_bytes(content)
    assert store.run().code == 0
    assert store.report().out == store.whole


def test_a_run_mends_some_damages(store: Store) -> None:
    mend(store, range(4))


@pytest.mark.slow
@pytest.mark.timeout(3_600)
def test_a_run_mends_all_damages(store: Store) -> None:
    mend(store, range(100, 160))


def test_links_in_the_place_of_artifacts_are_replaced_not_followed(store: Store) -> None:
    artifact = next((store.results / "artifacts/scores").glob("*noise*"))
    shutil.rmtree(artifact)
    artifact.symlink_to(store.outside)
    (artifact.parent / ".left.0a1b2c3d.tmp").symlink_to(store.outside)
    (artifact.parent / ".left.0a1b2c3d.old").symlink_to("nowhere")
    note = store.results / "failures" / "0123.json"
    note.parent.mkdir(exist_ok=True)
    note.symlink_to(store.outside / "precious")
    trial = store.report()
    assert "its result is damaged (its folder is a link); run it again" in trial.out
    assert store.run().code == 0
    assert store.report().out == store.whole
    assert not artifact.is_symlink()
    assert not list(artifact.parent.glob(".*"))
    note.unlink()


@pytest.mark.parametrize(
    "name", ["artifacts", "artifacts/scores", "plans", "failures", "unfinished", "claims", ".lock"]
)
def test_a_run_writes_through_no_link(store: Store, name: str) -> None:
    path, away = store.results / name, store.folder / "away"
    if path.exists():
        path.rename(away)
    path.symlink_to(store.outside / ("precious" if name == ".lock" else ""))
    trial = store.run()
    assert trial.code in (1, 2)
    assert f"results/{name}: it is" in trial.err
    path.unlink()
    if away.exists():
        away.rename(path)
    assert store.run().code == 0
    assert store.report().out == store.whole


def test_another_plan_that_is_damaged_stops_no_run(store: Store) -> None:
    other = store.results / "plans" / "other.json"
    other.write_text("{")
    assert store.run().code == 0
    assert "plans/other.json: cannot be read; run the suite again" in store.report().err
    other.unlink()
