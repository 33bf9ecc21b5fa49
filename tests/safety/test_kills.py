"""A few kills of each kind; `benchmarks/strength/kills.py` makes hundreds."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hashbench.benchmarks.strength import kills, machines
from hashbench.benchmarks.strength.shooting_range import (
    GRID,
    TINY,
    Range,
    Tally,
    wait_for_begin,
    workers_of,
)

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("series", "suite", "count"),
    [
        ("kill_groups", ("wrapped", "jpeg", 3), 4),
        pytest.param(
            "kill_in_calls",
            ("wrapped", "jpeg", 3),
            6,
            marks=pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler"),
        ),
        ("kill_workers", ("wrapped", "jpeg", 3), 4),
        ("kill_trainings", ("long", "cgat", 20), 5),
        ("kill_ray", ("trained", "cgat", 2), 4),
    ],
)
@pytest.mark.timeout(1800)
def test_a_series_ends_with_nothing_wrong(
    tmp_path: Path, series: str, suite: tuple[str, str, int], count: int
) -> None:
    place, tally = Range(tmp_path, seed=20), Tally(series)
    getattr(kills, series)(place, place.suite(*suite), count, tally)
    assert tally.kills >= count
    assert tally.wrong == []


@pytest.mark.timeout(1800)
def test_runs_in_one_store_make_each_step_once_though_some_are_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kills, "DRIVERS", 3)
    place, tally = Range(tmp_path, seed=20), Tally("joint")
    kills.kill_drivers(place, place.many(seeds=1, radii=2), 2, tally)
    assert tally.kills == 2
    assert tally.wrong == []


@pytest.mark.timeout(1800)
def test_machines_that_share_a_folder_of_which_one_is_killed(tmp_path: Path) -> None:
    reason = machines.why_not()
    if reason:
        pytest.skip(f"no containers here: {reason}")
    place = Range(tmp_path, seed=20)
    crowd = machines.kill_one_of_three(place, place.many(seeds=1, radii=2), lease=10.0)
    assert crowd.wrong == []
    assert [driver.killed for driver in crowd.drivers].count(True) == 1
    # Which of the others made what is chance: on a busy machine one may come too late for any.
    assert any(driver.made for driver in crowd.drivers if not driver.killed)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.timeout(600)
def test_a_run_that_is_asked_to_end_says_so_and_leaves_no_process(
    tmp_path: Path, number: signal.Signals
) -> None:
    suite = tmp_path / "long.toml"
    suite.write_text(GRID.format(plugin=TINY, defense='"cgat"', epochs=2000))
    run = Range(tmp_path / "range", 0).start(suite, tmp_path / "out")
    assert wait_for_begin(run)
    deadline = time.monotonic() + 300
    while not workers_of(tmp_path / "out"):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.kill(run.pid, number)
    assert run.stderr is not None
    errors = run.stderr.read()
    assert run.wait(60) == 128 + number
    assert f"Ended by {number.name}. What is done is kept" in errors
    assert "Traceback" not in errors
    while _group_lives(run.pid):
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.timeout(600)
def test_under_nohup_a_hangup_ends_nothing(tmp_path: Path) -> None:
    suite = tmp_path / "short.toml"
    suite.write_text(GRID.format(plugin=TINY, defense='"jpeg"', epochs=30))
    words = [sys.executable, "-P", "-m", "hashbench", "run", str(suite), "--out", "out"]
    run = subprocess.Popen(
        ["nohup", *words], cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    assert wait_for_begin(run)
    os.kill(run.pid, signal.SIGHUP)
    _, errors = run.communicate()
    assert run.returncode == 0, errors


def _group_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
