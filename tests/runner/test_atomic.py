"""Atomic writes: every call to the disk is made to fail in turn; nothing half-written is left."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from hashbench.atomic import sweep, write_file, write_folder
from hashbench.errors import WriteError

MakeDisk = Callable[..., Any]
Content = Mapping[str, bytes]

OLD: Content = {"a": b"old a", "done": b"old marker"}
NEW: Content = {"done": b"new marker", "a": b"new a" * 1000, "b": b""}

ERRORS = [
    OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
    OSError(errno.EIO, os.strerror(errno.EIO)),
    PermissionError(errno.EACCES, os.strerror(errno.EACCES)),
    KeyboardInterrupt(),
]
NAMES = ["disk full", "I/O error", "no permission", "Ctrl-C"]


def read_folder(path: Path) -> dict[str, bytes] | None:
    if not path.exists():
        return None
    return {file.name: file.read_bytes() for file in path.iterdir()}


def check_told(caught: BaseException, error: BaseException, path: Path) -> None:
    """A sentence that names what was to be written, and never what stands for it meanwhile."""
    if not isinstance(error, OSError):
        assert caught is error
        return
    assert isinstance(caught, WriteError)
    assert caught.__cause__ is error
    assert caught.errno == error.errno
    named = [path, *(path / name for name in NEW)]
    assert str(caught) in [f"{one}: cannot be written ({error.strerror})" for one in named]
    assert caught.no_room == (error.errno == errno.ENOSPC)


def fresh(tmp_path: Path, *parts: str) -> Path:
    shutil.rmtree(tmp_path / "store", ignore_errors=True)
    return tmp_path.joinpath("store", *parts)


@pytest.mark.parametrize("error", ERRORS, ids=NAMES)
@pytest.mark.parametrize("earlier", [None, b"old content"], ids=["new", "over an earlier one"])
def test_a_file_survives_the_failure_of_every_call(
    disk: MakeDisk, tmp_path: Path, earlier: bytes | None, error: BaseException
) -> None:
    for fail_at in range(100):
        path = fresh(tmp_path, "plans", "plan.json")
        if earlier is not None:
            write_file(path, earlier)
        faulty = disk(fail_at, error)
        raised = False
        with faulty.between():
            try:
                write_file(path, b"new content")
            except (OSError, KeyboardInterrupt) as caught:
                raised = True
                check_told(caught, error, path)
        found = path.read_bytes() if path.exists() else None
        assert found in ((earlier, b"new content") if raised else (b"new content",))
        left = {file.name for file in path.parent.glob("*")} | {
            file.name for file in path.parent.glob(".*")
        }
        assert left <= {"plan.json"}
        if not faulty.failed:
            assert not raised
            break
        write_file(path, b"new content")  # a second try succeeds
        assert path.read_bytes() == b"new content"
    assert fail_at >= 6  # mkdir, open, write, fsync, replace, open folder, fsync


@pytest.mark.parametrize("error", ERRORS, ids=NAMES)
@pytest.mark.parametrize("earlier", [None, OLD], ids=["new", "over an earlier one"])
def test_a_folder_survives_the_failure_of_every_call(
    disk: MakeDisk, tmp_path: Path, earlier: Content | None, error: BaseException
) -> None:
    for fail_at in range(100):
        path = fresh(tmp_path, "artifacts", "codes", "x-1")
        if earlier is not None:
            write_folder(path, earlier, last="done")
        faulty = disk(fail_at, error)
        raised = False
        with faulty.between():
            try:
                write_folder(path, NEW, last="done")
            except (OSError, KeyboardInterrupt) as caught:
                raised = True
                check_told(caught, error, path)
        assert read_folder(path) in ((earlier, None, NEW) if raised else (NEW,))
        left = {file.name for file in path.parent.glob("*")} | {
            file.name for file in path.parent.glob(".*")
        }
        assert left <= {"x-1"}
        if not faulty.failed:
            assert not raised
            break
        write_folder(path, NEW, last="done")
        assert read_folder(path) == NEW
    assert fail_at >= 15


def snapshots(disk: MakeDisk, tmp_path: Path, work: Callable[[], None]) -> Iterator[Path]:
    """The folder as a power cut would leave it before each call to the disk, and after the last."""
    taken: list[Path] = []

    def take() -> None:
        if (tmp_path / "store").exists():
            taken.append(tmp_path / f"snapshot-{len(taken)}")
            shutil.copytree(tmp_path / "store", taken[-1])

    watched = disk()
    watched.watch = take
    with watched.between():
        work()
    take()
    assert len(taken) >= 6
    yield from taken


@pytest.mark.parametrize("earlier", [None, OLD], ids=["new", "over an earlier one"])
def test_a_kill_at_any_call_leaves_a_folder_whole_or_absent(
    disk: MakeDisk, tmp_path: Path, earlier: Content | None
) -> None:
    path = tmp_path / "store" / "x-1"
    if earlier is not None:
        write_folder(path, earlier, last="done")
    found = []
    for snapshot in snapshots(disk, tmp_path, lambda: write_folder(path, NEW, last="done")):
        found.append(read_folder(snapshot / "x-1"))
        assert found[-1] in (earlier, None, NEW)
        sweep(snapshot)
        left = [file.name for file in snapshot.iterdir()]
        assert left == ([] if found[-1] is None else ["x-1"])
        write_folder(snapshot / "x-1", NEW, last="done")
        assert read_folder(snapshot / "x-1") == NEW
    assert found[0] == earlier
    assert found[-1] == NEW


def test_a_kill_at_any_call_leaves_the_old_or_the_new_file(disk: MakeDisk, tmp_path: Path) -> None:
    path = tmp_path / "store" / "plan.json"
    write_file(path, b"old")
    found = []
    for snapshot in snapshots(disk, tmp_path, lambda: write_file(path, b"new")):
        found.append((snapshot / "plan.json").read_bytes())
        sweep(snapshot)
        assert [file.name for file in snapshot.iterdir()] == ["plan.json"]
    assert found[0] == b"old"
    assert found[-1] == b"new"
    assert set(found) == {b"old", b"new"}


def test_the_marker_is_written_last_and_all_is_synced_before_the_rename(
    disk: MakeDisk, tmp_path: Path
) -> None:
    watched = disk()
    with watched.between():
        write_folder(tmp_path / "x-1", NEW, last="done")
    order = [call for call in watched.calls if call[0] in ("open", "write", "fsync", "rename")]
    files = [
        step
        for name in ("a", "b", "done")
        for step in (("open", name), ("write", name), ("fsync", name))
    ]
    assert order[:9] == files
    calls = [call for call, _ in order[9:]]
    assert calls == ["fsync", "rename", "fsync"]  # the folder, its appearance, the folder above


def test_a_file_is_synced_before_it_takes_its_place(disk: MakeDisk, tmp_path: Path) -> None:
    watched = disk()
    with watched.between():
        write_file(tmp_path / "plan.json", b"content")
    calls = [call for call, _ in watched.calls]
    assert calls == ["mkdir", "open", "write", "fsync", "replace", "open folder", "fsync"]
    temporary = watched.calls[1][1]
    assert temporary.startswith(".plan.json.")
    assert temporary.endswith(".tmp")


def test_a_folder_that_is_a_file_is_an_error_and_stays(tmp_path: Path) -> None:
    (tmp_path / "plans").write_text("not a folder")
    with pytest.raises(OSError, match="plans"):
        write_file(tmp_path / "plans" / "plan.json", b"")
    with pytest.raises(OSError, match="plans"):
        write_folder(tmp_path / "plans" / "x-1", OLD, last="done")
    assert (tmp_path / "plans").read_text() == "not a folder"


def test_sweep_takes_what_writers_left_and_nothing_else(tmp_path: Path) -> None:
    keep = {"x-1", "plan.json", "plan.tmp", ".lock", "x.old", ".hidden"}
    for name in keep | {".x-1.0a1b2c3d.tmp", ".plan.json.0a1b2c3d.tmp", ".x-1.0a1b2c3d.old"}:
        if "x-1" in name:
            (tmp_path / name).mkdir()
            (tmp_path / name / "file").write_bytes(b"")
        else:
            (tmp_path / name).write_bytes(b"")
    sweep(tmp_path)
    assert {file.name for file in tmp_path.iterdir()} == keep
    sweep(tmp_path / "no such folder")
