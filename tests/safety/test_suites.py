"""A stranger's suite file: taken, or refused by one sentence; never dear, never a traceback."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from safety.suite_files import Case, crafted, mutated

from support.trials import Trial, Trials

MEGABYTES = 200
MUTANTS = 40


@pytest.fixture(scope="module")
def trials() -> Iterator[Trials]:
    with Trials() as ready:
        yield ready


def planned(trials: Trials, folder: Path, case: Case) -> Trial:
    path = folder / f"{case.name}.toml"
    path.write_bytes(case.content)
    return trials.run("run", path.name, "--dry-run", "--out", "none", cwd=folder)


def is_one_sentence(trial: Trial, path: str) -> bool:
    return (
        trial.code == 2
        and not trial.out
        and trial.err.count("\n") == 1
        and trial.err.startswith(f"Error: suite {path}: ")
        and len(trial.err) < 3_000
    )


@pytest.mark.slow
def test_suites_that_were_made_to_break_it(
    trials: Trials, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    cases = [*crafted(), *mutated(MUTANTS, seed=12)]
    assert len(cases) >= 100
    seconds, megabytes, taken = {}, {}, 0
    for case in cases:
        trial = planned(trials, tmp_path, case)
        assert not trial.hung, case.name
        assert not trial.crashed, (case.name, trial.err[-2_000:])
        sentence = is_one_sentence(trial, f"{case.name}.toml")
        assert sentence or trial.code == 0, (case.name, trial.code, trial.err[:2_000])
        assert case.good is None or case.good == (trial.code == 0), (case.name, trial.err[:500])
        assert trial.megabytes <= MEGABYTES, (case.name, trial.megabytes)
        seconds[case.name], megabytes[case.name] = trial.seconds, trial.megabytes
        taken += trial.code == 0
    assert taken > 10, "of the mutants some are good suites too"
    assert not (tmp_path / "none").exists()
    for what, found in (("seconds", seconds), ("MB", megabytes)):
        dearest = max(found, key=found.__getitem__)
        record_property(what, f"{dearest}: {found[dearest]:.2f}")
        print(f"at most {found[dearest]:.2f} {what} ({dearest})")  # noqa: T201 - to be looked at


@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "absent", "long"])
def test_what_is_no_file_is_refused(trials: Trials, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "mine.toml"
    match kind:
        case "pipe":
            os.mkfifo(path)
        case "device":
            path.symlink_to("/dev/zero")
        case "folder":
            path.mkdir()
        case "long":
            path = tmp_path / ("x" * 300)
    trial = trials.run("run", path.name, "--dry-run", cwd=tmp_path)
    assert not trial.hung
    if kind == "long":
        assert (trial.code, trial.out) == (2, "")
        assert trial.err == f"Error: {path.name[:200]}...: File name too long\n"
    else:
        assert is_one_sentence(trial, path.name)
