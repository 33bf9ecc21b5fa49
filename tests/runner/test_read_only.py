"""Finished results on a disk that can only be read: where nothing is to do, nothing is wrong."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typing_extensions import override

from hashbench import UsageError, atomic
from hashbench.errors import WriteError
from hashbench.runner import alone
from hashbench.runner.plan import make_plan
from hashbench.runner.reporter import Reporter
from hashbench.runner.run import run_plan
from hashbench.runner.suite import Suite

TinySuite = Callable[..., Suite]
REPOSITORY = Path(__file__).resolve().parents[2]

MOUNTED = """
mount --bind "$1" "$2" && mount -o remount,ro,bind "$2" || exit 77
shift; ! touch "$1/x" 2>/dev/null || exit 78
shift; exec "$@"
"""
"""Run a command while a folder can be read alone in another place: also by root."""


class Notes(Reporter):
    def __init__(self) -> None:
        self.notes: list[str] = []
        self.begun: list[tuple[int, int]] = []

    @override
    def note(self, text: str) -> None:
        self.notes.append(text)

    @override
    def begin(self, steps: int, stored: int) -> None:
        self.begun.append((steps, stored))


def content(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(params=[errno.EROFS, errno.EACCES, errno.EPERM])
def read_only(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], None]:
    """From its call on, no lock can be opened."""

    def begin() -> None:
        true = os.open

        def refuse(path: str, flags: int, mode: int = 0o777, **named: int) -> int:
            if Path(path).name == alone.LOCK:
                raise OSError(request.param, os.strerror(request.param), path)
            return true(path, flags, mode, **named)

        monkeypatch.setattr(os, "open", refuse)

    return begin


def test_nothing_to_do_is_done(
    tiny_suite: TinySuite, tmp_path: Path, read_only: Callable[[], None]
) -> None:
    plan = make_plan(tiny_suite(attack=["noise", "hag:steps=1"]))
    first = run_plan(plan, out=tmp_path, reporter=Reporter())
    before = content(tmp_path)
    read_only()
    notes = Notes()
    again = run_plan(plan, out=tmp_path, reporter=notes)
    assert again.to_frame().equals(first.to_frame())
    assert not again.failed
    assert len(notes.notes) == 1
    assert "it is read-only, and nothing is to do" in notes.notes[0]
    assert notes.begun == [(0, len(plan.steps))]
    assert content(tmp_path) == before


def test_a_part_that_was_never_asked_for_alone_is_read_too(
    tiny_suite: TinySuite, tmp_path: Path, read_only: Callable[[], None]
) -> None:
    whole = make_plan(tiny_suite(attack=["noise", "hag:steps=1"]))
    part = make_plan(tiny_suite(attack="noise", name="part"))
    run_plan(whole, out=tmp_path, reporter=Reporter())
    read_only()
    results = run_plan(part, out=tmp_path, reporter=Reporter())
    assert [one.cell.attack for one in results.cells] == ["noise", "none"]
    assert not results.failed
    assert [one.suite for one in results.asked] == ["part"]


def test_with_something_to_do_it_is_refused_as_before(
    tiny_suite: TinySuite, tmp_path: Path, read_only: Callable[[], None]
) -> None:
    run_plan(make_plan(tiny_suite()), out=tmp_path, reporter=Reporter())
    before = content(tmp_path)
    read_only()
    for suite, folder in ((tiny_suite(seed=1), tmp_path), (tiny_suite(), tmp_path / "new")):
        with pytest.raises(UsageError, match="cannot be written to"):
            run_plan(make_plan(suite), out=folder, reporter=Reporter())
    assert content(tmp_path) == before


@pytest.mark.parametrize("number", [errno.EACCES, errno.ENOSPC])
def test_a_lock_that_opens_in_a_folder_that_cannot_be_written(
    tiny_suite: TinySuite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Without permission nothing is wrong; a full disk is told, since other runs need it."""
    plan = make_plan(tiny_suite())
    run_plan(plan, out=tmp_path, reporter=Reporter())

    def refuse(path: Path, _content: bytes) -> None:
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(atomic, "write_synced", refuse)
    notes = Notes()
    if number == errno.ENOSPC:
        with pytest.raises(WriteError, match="cannot be written"):
            run_plan(plan, out=tmp_path, reporter=notes)
        return
    assert not run_plan(plan, out=tmp_path, reporter=notes).failed
    assert len(notes.notes) == 1


@pytest.mark.slow
def test_on_a_disk_that_is_mounted_to_be_read(tmp_path: Path) -> None:
    """`run`, `report`, `model export` and a run with something to do, on a real one."""
    if sys.platform != "linux" or shutil.which("unshare") is None:
        pytest.skip("no unshare here, which mounts without being root")
    disk, there = tmp_path / "disk", tmp_path / "there"
    disk.mkdir()
    there.mkdir()
    suite = tmp_path / "tiny.toml"
    data = REPOSITORY / "tests/plugins/tiny_data.py"
    suite.write_text(
        f'name = "tiny"\nplugin = "{data}"\ndataset = "tiny"\nbits = 8\ndefense = "none"\n'
        'backbone = "small-cnn:width=4,hidden=16"\nattack = "noise"\ntraining = {epochs = 1}\n'
    )

    def hashbench(*words: str | Path, mounted: bool = True) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-P", "-m", "hashbench", *map(str, words)]
        if mounted:
            inside = ["sh", "-c", MOUNTED, "sh", str(disk), str(there)]
            command = ["unshare", "-rm", *inside, *command]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert hashbench("run", suite, "--out", disk / "results", mounted=False).returncode == 0
    before = content(disk)
    results = there / "results"
    again = hashbench("run", suite, "--out", results)
    if again.returncode == 77 or "unshare" in again.stderr:
        pytest.skip(f"nothing can be mounted here: {again.stderr.strip()}")
    assert again.returncode == 0, again.stderr
    assert "read-only, and nothing is to do" in again.stderr
    assert "2 of 2 cells done" in again.stderr
    assert hashbench("report", results).returncode == 0
    exported = hashbench("model", "export", results, "--to", tmp_path / "model")
    assert exported.returncode == 0, exported.stderr
    more = hashbench("run", suite, "--seed", "1", "--out", results)
    assert more.returncode == 2
    assert "cannot be written to (Read-only file system)" in more.stderr
    doctor = hashbench("doctor", "--quick", "--out", results)
    assert doctor.returncode == 1
    assert "cannot be written (Read-only file system)" in doctor.stdout
    assert content(disk) == before
