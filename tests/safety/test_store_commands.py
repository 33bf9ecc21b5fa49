"""`hashbench store` on folders that are damaged, strange, or at work: sentences, never a crash."""

from __future__ import annotations

import fcntl
import json
import os
import random
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from hashbench.results.sums import sealed
from support.damage import DAMAGES, damaged
from support.trials import Trial, Trials

GOLDEN = Path(__file__).parents[1] / "golden"
PLAN = re.compile(r"^[0-9a-f]{12}  ", re.MULTILINE)


@pytest.fixture(scope="module")
def trials() -> Iterator[Trials]:
    with Trials() as running:
        yield running


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A folder of three plans, all of it whole."""
    shutil.copytree(GOLDEN / "format-3/results", tmp_path / "results")
    return tmp_path / "results"


def sound(trial: Trial, *codes: int) -> Trial:
    assert not trial.hung
    assert not trial.crashed, trial.err
    assert trial.code in codes, (trial.code, trial.out, trial.err)
    return trial


def contents(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Of every file, its size and how it begins: one may claim gigabytes."""
    found = {}
    for path in folder.rglob("*"):
        if path.is_file() and path.name != ".lock":
            with path.open("rb") as file:
                found[str(path.relative_to(folder))] = (path.stat().st_size, file.read(2**20))
    return found


@pytest.mark.parametrize("number", [1, 2, 3])
def test_folders_of_every_format_are_whole(trials: Trials, tmp_path: Path, number: int) -> None:
    folder = tmp_path / "results"
    shutil.copytree(GOLDEN / f"format-{number}" / "results", folder)
    before = contents(folder)
    trial = sound(trials.run("store", "verify", cwd=tmp_path), 0)
    count = len(list(folder.glob("artifacts/*/*")))
    assert trial.out.startswith(f"whole: {count} artifacts and 3 plans, ")
    listed = sound(trials.run("store", "ls", cwd=tmp_path), 0).out
    assert len(PLAN.findall(listed)) == 3
    assert all(len(line) <= 80 for line in listed.splitlines())
    whole = sound(trials.run("store", "ls", "--full", cwd=tmp_path), 0).out.splitlines()
    assert len(whole) == 1 + count + 3 + len(list(folder.glob("failures/*")))
    assert "nothing to delete" in sound(trials.run("store", "gc", "--yes", cwd=tmp_path), 0).out
    assert contents(folder) == before


def _other(path: Path, content: bytes) -> bool:
    """Whether a file holds something else; one that claims to be huge is not read for that."""
    return path.stat().st_size != len(content) or path.read_bytes() != content


def try_damages(trials: Trials, results: Path, seeds: range) -> None:
    """Whatever file it falls on: the sum of each is known, but that of a note of a failure."""
    files = [path for path in results.rglob("*") if path.is_file()]
    summed = sorted(path for path in files if path.parent.name != "failures")
    for seed in seeds:
        rng = random.Random(seed)
        path, name = rng.choice(summed), rng.choice(sorted(DAMAGES))
        content = path.read_bytes()
        what = (seed, name, str(path))
        record = path.name == "done.json" or path.parent.name == "plans"
        with damaged(path, name, rng, files):
            changed = path.is_symlink() or not path.is_file() or _other(path, content)
            if name == "byte_order_mark" and record:
                changed = False  # a record means the same behind one
            trial = trials.run("store", "verify", cwd=results.parent)
            if name == "delete" and path.parent.name == "plans":
                sound(trial, 0)  # nobody can know that it was there
                continue
            if not changed:
                sound(trial, 0)
                continue
            assert trial.code in (1, 2), what
            told = trial.out + trial.err
            assert path.name in told or str(path.parent.name) in told, (what, told)
            sound(trials.run("store", "ls", cwd=results.parent), 0, 2)
            # What a plan needs is not deleted, damaged or not.
            before = contents(results)
            sound(trials.run("store", "gc", "--yes", cwd=results.parent), 0, 2)
            if path.parent.name != "plans":
                assert contents(results) == before, what
    sound(trials.run("store", "verify", cwd=results.parent), 0)


def test_some_damages_are_found_and_named(trials: Trials, results: Path) -> None:
    try_damages(trials, results, range(6))


@pytest.mark.slow
@pytest.mark.timeout(3_600)
def test_all_damages_are_found_and_named(trials: Trials, results: Path) -> None:
    try_damages(trials, results, range(6, 80))


def test_what_to_do_is_said_and_works(trials: Trials, results: Path) -> None:
    scores = next(results.glob("artifacts/scores/*noise*/scores.json"))
    scores.write_bytes(scores.read_bytes()[:-2])
    codes = next(results.glob("artifacts/adversarial/*/done.json"))
    codes.unlink()
    trial = sound(trials.run("store", "verify", cwd=results.parent), 1)
    folder = f"results/{scores.parent.relative_to(results)}"
    assert f"{folder}/scores.json: its content is not what done.json says it was" in trial.out
    assert "running the suite again makes it anew" in trial.out
    assert "done.json: it is missing; a run that needs it makes it anew" in trial.out
    assert "2 faults in 14 artifacts and 3 plans" in trial.out
    plain = sound(trials.run("store", "gc", "--yes", cwd=results.parent), 0)
    assert "nothing to delete" in plain.out
    gone = sound(trials.run("store", "gc", "--yes", "--damaged", cwd=results.parent), 0)
    assert "it is damaged" in gone.out
    assert "deleted 2 items" in gone.out
    assert not scores.parent.exists()
    assert not codes.parent.exists()
    sound(trials.run("store", "verify", cwd=results.parent), 0)


def test_nothing_is_deleted_where_nobody_is_asked(trials: Trials, results: Path) -> None:
    name = PLAN.findall(trials.run("store", "ls", cwd=results.parent).out)[0].strip()
    before = contents(results)
    trial = sound(trials.run("store", "gc", "--drop-plan", name, cwd=results.parent), 0)
    assert f"plans/{name}" in trial.out
    assert re.search(r"^to be deleted: \d+ items, [\d.]+ kB$", trial.out, re.MULTILINE)
    assert "it is to be forgotten" in trial.out
    assert "no plan names it" in trial.out
    assert trial.err == "Nothing was deleted, since nobody can be asked here: --yes deletes it.\n"
    assert contents(results) == before
    done = sound(trials.run("store", "gc", "--drop-plan", name, "--yes", cwd=results.parent), 0)
    count = re.search(r"to be deleted: (\d+) items, (.*)", done.out)
    assert count is not None
    assert f"deleted {count[1]} items, {count[2]}" in done.out
    left = sound(trials.run("store", "ls", cwd=results.parent), 0).out
    assert len(PLAN.findall(left)) == 2
    assert name not in left
    sound(trials.run("report", cwd=results.parent), 0, 1)


def test_nothing_is_deleted_while_a_run_works(trials: Trials, results: Path) -> None:
    name = PLAN.findall(trials.run("store", "ls", cwd=results.parent).out)[0].strip()
    before = contents(results)
    with (results / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        trial = trials.run("store", "gc", "--drop-plan", name, "--yes", cwd=results.parent)
        sound(trial, 2)
        assert "a run is at work there; nothing was deleted: try again once it has" in trial.err
        sound(trials.run("store", "ls", cwd=results.parent), 0)
        sound(trials.run("store", "verify", cwd=results.parent), 0)
    assert contents(results) == before


def test_folders_that_are_none(trials: Trials, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    for command in ("ls", "verify", "gc"):
        for name, said in (
            ("empty", "it is no folder of results"),
            ("file", "it is a file, expected a folder"),
            ("missing", "no such folder; 'hashbench run' or 'hashbench match' makes one"),
        ):
            trial = sound(trials.run("store", command, name, cwd=tmp_path), 2)
            assert f"Error: folder {name}: {said}" in trial.err
            assert trial.out == ""


def test_a_store_of_a_newer_hashbench(trials: Trials, results: Path) -> None:
    path = next(results.glob("plans/*.json"))
    plan = json.loads(path.read_text())
    kept = path.read_bytes()
    path.write_text(json.dumps(sealed({**plan, "schema": 4})))
    for command in ("ls", "verify", "gc"):
        trial = sound(trials.run("store", command, cwd=results.parent), 2)
        assert f"{path.name}: written in format 4, this hashbench reads up to 3: upd" in trial.err
    path.write_bytes(kept)
    # An artifact of a newer one that no plan of ours names is not ours to delete.
    record = next(results.glob("artifacts/scores/*/done.json"))
    later = {**json.loads(record.read_text()), "schema": 4}
    folder = results / "artifacts/scores/later-0123456789abcdef0123"
    folder.mkdir()
    (folder / "done.json").write_text(json.dumps(sealed(later)))
    trial = sound(trials.run("store", "verify", cwd=results.parent), 1)
    assert "written in format 4" in trial.out
    assert "nothing to delete" in sound(trials.run("store", "gc", cwd=results.parent), 0).out


def test_a_damaged_plan_stops_the_deletion(trials: Trials, results: Path) -> None:
    path = next(results.glob("plans/*.json"))
    path.write_bytes(path.read_bytes()[:-9])
    trial = sound(trials.run("store", "gc", "--yes", cwd=results.parent), 2)
    assert "what it needs is not known, so nothing is deleted" in trial.err
    assert path.name in trial.err
    sound(trials.run("store", "verify", cwd=results.parent), 1)
    listed = sound(trials.run("store", "ls", cwd=results.parent), 0)
    assert "what it needs is not known" in listed.err
    done = trials.run("store", "gc", "--yes", "--drop-plan", path.stem[:8], cwd=results.parent)
    assert "deleted" in sound(done, 0).out
    sound(trials.run("store", "verify", cwd=results.parent), 0)


def test_artifacts_without_a_plan_are_not_taken_for_garbage(trials: Trials, results: Path) -> None:
    shutil.move(results / "plans", results.parent / "other-plans")
    trial = sound(trials.run("store", "gc", "--yes", cwd=results.parent), 2)
    assert "no plan is in it, so nothing says what is needed" in trial.err
    other = results.parent / "other"
    other.mkdir()
    shutil.move(results.parent / "other-plans", other / "plans")
    again = trials.run("store", "gc", "--yes", "--also-for", "other", cwd=results.parent)
    assert "nothing to delete" in sound(again, 0).out


def test_strange_things_are_neither_followed_nor_waited_for(trials: Trials, results: Path) -> None:
    outside = results.parent / "outside"
    outside.mkdir()
    (outside / "precious").write_text("precious")
    digits = "0123456789abcdef0123"
    os.mkfifo(results / "artifacts/scores" / f"pipe-{digits}")
    (results / "artifacts/scores" / f"link-{digits}").symlink_to(outside)
    pipe = results / "artifacts/scores" / f"a-{digits}"
    pipe.mkdir()
    os.mkfifo(pipe / "done.json")
    loop = results / "artifacts/scores" / f"loop-{digits}"
    loop.mkdir()
    (loop / "loop").symlink_to(loop)
    steering = results / "artifacts/scores" / "\x1b[2Jx"
    steering.mkdir()
    with (results / "huge.bin").open("wb") as file:
        file.truncate(2**40)
    for words in (("ls",), ("ls", "--full"), ("verify",), ("gc", "--yes"), ("verify",)):
        trial = sound(trials.run("store", *words, cwd=results.parent), 0, 1)
        assert "\x1b[2J" not in trial.out + trial.err
        assert trial.megabytes < 100
    assert not pipe.exists()
    assert not loop.exists()
    assert (outside / "precious").read_text() == "precious"
    assert (results / "huge.bin").exists()
    assert steering.exists()


def test_typed_wrong(trials: Trials, results: Path) -> None:
    for words, said in (
        (("gc", "--older-than", "-1"), "expected a number of days"),
        (("gc", "--older-than", "nan"), "expected a number of days"),
        (("gc", "--drop-plan", "zz"), "there is no such plan; 'hashbench store ls' lists them"),
        (("gc", "--also-for", "nowhere"), "no such folder"),
        (("lst",), "No such command"),
    ):
        trial = sound(trials.run("store", *words, cwd=results.parent), 2)
        assert said in " ".join(trial.err.split()), trial.err
