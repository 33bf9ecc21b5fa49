"""The CSV of a suite is the same to the byte, however the run went."""

from __future__ import annotations

import csv
import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

Command = Callable[..., subprocess.CompletedProcess[str]]
Start = Callable[[Sequence[str | Path]], subprocess.Popen[str]]

TINY = Path(__file__).parent / "tiny_data.py"
STEPS = 74  # of the small suite

pytestmark = pytest.mark.slow


def test_twice_in_a_row(hashbench: Command, suite: Path, reference: bytes, tmp_path: Path) -> None:
    for name in ("first.csv", "second.csv"):
        hashbench("run", suite)
        hashbench("report", "--format", "csv", "-o", name)
        assert (tmp_path / name).read_bytes() == reference


def test_the_second_run_makes_nothing(hashbench: Command, suite: Path, tmp_path: Path) -> None:
    hashbench("run", suite)
    before = _finished(tmp_path / "results")
    again = hashbench("run", suite)
    assert f"0 steps to do, {STEPS} in the store" in again.stderr
    assert _finished(tmp_path / "results") == before


def test_with_two_workers(hashbench: Command, suite: Path, reference: bytes) -> None:
    hashbench("run", suite, "--workers", "2")
    assert hashbench("report", "--format", "csv").stdout.encode() == reference


def test_threads_of_the_environment_play_no_part(
    suite: Path, reference: bytes, tmp_path: Path
) -> None:
    """A cell's threads are the suite's, whatever the machine's default is."""
    free = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    tool = [sys.executable, "-P", "-m", "hashbench"]
    for words in (["run", str(suite)], ["report", "--format", "csv", "-o", "free.csv"]):
        subprocess.run([*tool, *words], cwd=tmp_path, env=free, check=True)
    assert (tmp_path / "free.csv").read_bytes() == reference


def test_draws_from_process_wide_generators_are_fixed(hashbench: Command) -> None:
    """Dropout and careless plugins draw what their step is, not what ran before them."""
    plugin = Path(__file__).parent / "careless.py"
    tables = []
    for workers in ("1", "2"):
        out = f"with-{workers}"
        hashbench(
            "run", "--plugin", TINY, "--plugin", plugin, "--dataset", "tiny", "--bits", "16",
            "--backbone", "forgetful", "--defense", "none", "--defense", "cgat:epochs=1",
            "--attack", "careless", "--seed", "0", "--seed", "1", "--out", out,
            "--workers", workers,
        )  # fmt: skip
        tables.append(hashbench("report", out, "--format", "csv").stdout)
    assert tables[0] == tables[1]
    assert "careless" in tables[0]


def test_killed_at_five_points(
    hashbench: Command, start: Start, suite: Path, reference: bytes, tmp_path: Path
) -> None:
    """SIGKILL to the whole process tree: what was finished is kept and never made again."""
    kept: dict[str, tuple[int, bytes]] = {}
    for stop_at in (1, 9, 24, 41, 60):
        run = start(["run", suite, "--workers", "2"])
        _wait_for(tmp_path / "results", stop_at, run)
        os.killpg(run.pid, signal.SIGKILL)
        run.wait()
        now = _finished(tmp_path / "results")
        assert _made_by_steps(now) < STEPS
        assert now.items() >= kept.items(), "a finished artifact was made again"
        kept = now
    done = hashbench("run", suite, "--workers", "2")
    assert f"{STEPS - _made_by_steps(kept)} steps to do, " in done.stderr
    assert _finished(tmp_path / "results").items() >= kept.items()
    assert hashbench("report", "--format", "csv").stdout.encode() == reference
    assert not list((tmp_path / "results").rglob("*.tmp"))


def test_workers_do_not_outlive_a_killed_parent(start: Start, suite: Path, tmp_path: Path) -> None:
    run = start(["run", suite, "--workers", "2"])
    _wait_for(tmp_path / "results", 1, run)
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    deadline = time.monotonic() + 30
    while _group_lives(run.pid) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not _group_lives(run.pid)


def test_interrupt_from_the_keyboard(
    hashbench: Command, start: Start, suite: Path, reference: bytes, tmp_path: Path
) -> None:
    run = start(["run", suite, "--workers", "2"])
    _wait_for(tmp_path / "results", 10, run)
    os.killpg(run.pid, signal.SIGINT)
    _, errors = run.communicate(timeout=60)
    assert run.returncode == 130
    assert "Interrupted" in errors
    assert "Traceback" not in errors
    hashbench("run", suite)
    assert hashbench("report", "--format", "csv").stdout.encode() == reference


def test_attack_batches(hashbench: Command, suite: Path) -> None:
    """A batch changes nothing but the order of float sums."""
    tables = []
    for batch in ("37", "500"):
        hashbench("run", suite, "--attack-batch", batch, "--out", f"batch-{batch}")
        text = hashbench("report", f"batch-{batch}", "--format", "csv").stdout
        tables.append(_maps(text))
    small, large = tables
    assert small.keys() == large.keys()
    assert all(abs(small[key] - large[key]) <= 0.001 for key in small)
    # Attacks that draw and step per query come out the same; the clean rows to the bit.
    clean = [key for key in small if key[1] == "none"]
    assert clean
    assert all(small[key] == large[key] for key in clean)


def _maps(text: str) -> dict[tuple[str, str, str], float]:
    return {
        (row["defense"], row["attack"], row["seed"]): float(row["value"])
        for row in csv.DictReader(io.StringIO(text))
        if row["metric"] == "map"
    }


def _made_by_steps(finished: Mapping[str, object]) -> int:
    """How many artifacts are a step's own: kept images and galleries lie beside those of one."""
    beside = ("/artifacts/images/", "/artifacts/gallery/")
    return sum(not any(kind in path for kind in beside) for path in finished)


def _finished(store: Path) -> dict[str, tuple[int, bytes]]:
    """Inode and content of every marker: a second making would show in either."""
    markers = store.glob("artifacts/*/*/done.json")
    return {
        str(path): (path.stat().st_ino, path.read_bytes())
        for path in markers
        if not path.parent.name.startswith(".")
    }


def _wait_for(store: Path, artifacts: int, run: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 300
    while _made_by_steps(_finished(store)) < artifacts:
        assert run.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _group_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
