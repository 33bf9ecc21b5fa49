"""A few kills of each kind; `benchmarks/strength/kills.py` makes hundreds."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def kills() -> ModuleType:
    """The script, as a module."""
    path = ROOT / "benchmarks" / "strength" / "kills.py"
    spec = importlib.util.spec_from_file_location("kills", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


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
    ],
)
@pytest.mark.timeout(1800)
def test_a_series_ends_with_nothing_wrong(
    kills: ModuleType, tmp_path: Path, series: str, suite: tuple[str, str, int], count: int
) -> None:
    place, tally = kills.Range(tmp_path, seed=20), kills.Tally(series)
    getattr(kills, series)(place, place.suite(*suite), count, tally)
    assert tally.kills >= count
    assert tally.wrong == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.timeout(600)
def test_a_run_that_is_asked_to_end_says_so_and_leaves_no_process(
    kills: ModuleType, tmp_path: Path, number: signal.Signals
) -> None:
    suite = tmp_path / "long.toml"
    suite.write_text(kills.GRID.format(plugin=kills.TINY, defense='"cgat"', epochs=2000))
    run = kills.Range(tmp_path / "range", 0).start(suite, tmp_path / "out")
    assert kills.wait_for_begin(run)
    deadline = time.monotonic() + 300
    while kills.worker_of(run.pid) is None:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.kill(run.pid, number)
    errors = run.stderr.read()
    assert run.wait(60) == 128 + number
    assert f"Ended by {number.name}. What is done is kept" in errors
    assert "Traceback" not in errors
    while _group_lives(run.pid):
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.timeout(600)
def test_under_nohup_a_hangup_ends_nothing(kills: ModuleType, tmp_path: Path) -> None:
    suite = tmp_path / "short.toml"
    suite.write_text(kills.GRID.format(plugin=kills.TINY, defense='"jpeg"', epochs=30))
    words = [sys.executable, "-P", "-m", "hashbench", "run", str(suite), "--out", "out"]
    run = subprocess.Popen(
        ["nohup", *words], cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    assert kills.wait_for_begin(run)
    os.kill(run.pid, signal.SIGHUP)
    _, errors = run.communicate()
    assert run.returncode == 0, errors


def _group_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
