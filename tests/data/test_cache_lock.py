"""The lock of a cache entry: one process at a time, freed by its death; some disks have none."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hashbench.data.cache.entries import LOCK, locked

HOLDER = """
import pathlib, sys
from hashbench.data.cache.entries import locked
folder = pathlib.Path(sys.argv[1])
with locked(folder) as alone:
    assert alone
    print("held", flush=True)
    sys.stdin.readline()
    (folder / "left").touch()
"""

WAITER = """
import pathlib, sys
from hashbench.data.cache.entries import locked
folder = pathlib.Path(sys.argv[1])
print("asks", flush=True)
with locked(folder) as alone:
    print(alone, (folder / "left").exists(), flush=True)
"""


def holder(folder: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", HOLDER, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_it_waits_until_the_other_process_has_left(tmp_path: Path) -> None:
    other = holder(tmp_path)
    third = subprocess.Popen(
        [sys.executable, "-P", "-c", WAITER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert third.stdout is not None
    assert third.stdout.readline() == "asks\n"
    other.communicate("\n")
    assert third.communicate()[0] == "True True\n"


@pytest.mark.timeout(60)
def test_the_death_of_its_holder_frees_it(tmp_path: Path) -> None:
    other = holder(tmp_path)
    other.kill()
    other.communicate()
    with locked(tmp_path) as alone:
        assert alone
        assert not (tmp_path / "left").exists()
    with locked(tmp_path) as alone:
        assert alone


@pytest.mark.timeout(60)
def test_a_file_system_without_locks_is_told_and_does_no_harm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(handle: int, operation: int) -> None:  # noqa: ARG001
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("fcntl.flock", flock)
    with locked(tmp_path) as alone, locked(tmp_path) as also:
        assert (alone, also) == (False, False)


def test_a_folder_that_cannot_be_written_to_is_no_missing_lock(tmp_path: Path) -> None:
    (tmp_path / LOCK).mkdir()
    with pytest.raises(OSError, match="directory"), locked(tmp_path):
        pass
