"""Files that a user names: nothing that is no regular file is replaced, and nobody's rights change.

Tests of owners and of devices that are made by hand need a superuser, as in a container.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from hashbench import outputs
from hashbench.errors import FileError
from hashbench.outputs import refuse_output, write_output

superuser = pytest.mark.skipif(os.geteuid() != 0, reason="needs the rights of a superuser")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def nothing_left(folder: Path) -> bool:
    return not list(folder.glob(".*.tmp"))


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_a_new_file_has_the_rights_that_the_umask_leaves(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        write_output(tmp_path / "new.csv", b"new")
    finally:
        os.umask(before)
    assert (tmp_path / "new.csv").read_bytes() == b"new"
    assert mode(tmp_path / "new.csv") == 0o666 & ~umask
    assert nothing_left(tmp_path)


@pytest.mark.parametrize("rights", [0o600, 0o644, 0o666, 0o640, 0o755, 0o200])
def test_an_earlier_file_keeps_its_mode(tmp_path: Path, rights: int) -> None:
    path = tmp_path / "old.csv"
    path.write_bytes(b"old and longer")
    path.chmod(rights)
    earlier = path.stat().st_ino
    write_output(path, b"new")
    assert mode(path) == rights
    assert path.stat().st_ino != earlier  # a whole one in its place
    path.chmod(0o600)
    assert path.read_bytes() == b"new"
    assert nothing_left(tmp_path)


@superuser
def test_an_earlier_file_keeps_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "old.csv"
    path.write_bytes(b"old")
    path.chmod(0o640)
    os.chown(path, 1234, 4321)
    write_output(path, b"new")
    assert (path.stat().st_uid, path.stat().st_gid, mode(path)) == (1234, 4321, 0o640)


def test_an_owner_who_may_not_be_given_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "old.csv"
    path.write_bytes(b"old and longer")
    inode = path.stat().st_ino

    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, "no")

    theirs = list(path.stat())
    theirs[4] += 1
    monkeypatch.setattr(os, "chown", refuse)
    monkeypatch.setattr(outputs, "_status", lambda _: os.stat_result(theirs))
    write_output(path, b"new")
    assert (path.read_bytes(), path.stat().st_ino) == (b"new", inode)
    assert nothing_left(tmp_path)


def test_all_names_of_a_file_have_the_new_content(tmp_path: Path) -> None:
    path, other = tmp_path / "one.csv", tmp_path / "two.csv"
    path.write_bytes(b"old and longer")
    other.hardlink_to(path)
    write_output(path, b"new")
    assert (other.read_bytes(), path.stat().st_nlink) == (b"new", 2)
    assert nothing_left(tmp_path)


@pytest.mark.parametrize("target", ["real.csv", "sub/real.csv"])
@pytest.mark.parametrize("there", [True, False])
def test_a_link_is_followed_and_stays(tmp_path: Path, target: str, there: bool) -> None:
    (tmp_path / "sub").mkdir()
    if there:
        (tmp_path / target).write_bytes(b"old")
        (tmp_path / target).chmod(0o600)
    (tmp_path / "link").symlink_to(target)
    (tmp_path / "link to a link").symlink_to("link")
    write_output(tmp_path / "link to a link", b"new")
    assert (tmp_path / "link to a link").is_symlink()
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / target).read_bytes() == b"new"
    assert not there or mode(tmp_path / target) == 0o600


def test_links_that_lead_nowhere_are_refused(tmp_path: Path) -> None:
    (tmp_path / "lost").symlink_to("no/such/place.csv")
    with pytest.raises(FileError, match=r"there is no folder .*/no/such"):
        write_output(tmp_path / "lost", b"new")
    (tmp_path / "round").symlink_to("round")
    with pytest.raises(OSError, match="symbolic links"):
        write_output(tmp_path / "round", b"new")


def test_a_missing_folder_is_named_and_not_made(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"there is no folder .*/no/such; make it first"):
        write_output(tmp_path / "no/such/a.md", b"new")
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(NotADirectoryError):
        write_output(tmp_path / "file/a.csv", b"new")
    with pytest.raises(FileError, match="it is a folder"):
        write_output(tmp_path, b"new")
    with pytest.raises(FileError, match="no file can have"):
        write_output(tmp_path / "a\0b", b"new")
    with pytest.raises(OSError, match="too long"):
        write_output(tmp_path / ("a" * 300), b"new")
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(tmp_path / "socket"))
        with pytest.raises(FileError, match="it is a socket"):
            write_output(tmp_path / "socket", b"new")
    assert stat.S_ISSOCK((tmp_path / "socket").stat().st_mode)


def test_a_name_of_full_length_is_written(tmp_path: Path) -> None:
    path = tmp_path / ("a" * 255)
    for content in (b"first", b"second"):
        write_output(path, content)
        assert path.read_bytes() == content


@pytest.mark.parametrize("rights", [0o444, 0o400, 0o000])
def test_a_read_only_file_is_left_alone(tmp_path: Path, rights: int) -> None:
    path = tmp_path / "old.csv"
    path.write_bytes(b"old")
    path.chmod(rights)
    for refuse in (refuse_output, lambda path: write_output(path, b"new")):
        with pytest.raises(FileError, match="it is read-only"):
            refuse(path)
    path.chmod(0o600)
    assert path.read_bytes() == b"old"


@pytest.fixture
def pipe(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    yield path
    assert stat.S_ISFIFO(path.stat().st_mode)


def test_a_named_pipe_is_written_into(pipe: Path) -> None:
    content = b"new" * 100_000  # more than a pipe holds
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    writer = threading.Thread(target=write_output, args=(pipe, content))
    writer.start()
    select.select((reader,), (), ())  # before anybody writes there is an end of the file
    os.set_blocking(reader, True)
    with os.fdopen(reader, "rb") as file:
        assert file.read() == content
    writer.join()


def test_a_pipe_whose_reader_leaves_is_no_failure(pipe: Path) -> None:
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    threading.Timer(0.05, os.close, (reader,)).start()
    write_output(pipe, b"new" * 100_000)


def test_a_pipe_that_nobody_reads_from_is_not_waited_at(pipe: Path) -> None:
    with pytest.raises(FileError, match="nobody reads from it"):
        write_output(pipe, b"new")


@superuser
def test_a_device_is_written_into(tmp_path: Path) -> None:
    null = tmp_path / "null"
    os.mknod(null, stat.S_IFCHR | 0o666, os.makedev(1, 3))
    before = null.stat()
    write_output(null, b"new")
    assert null.stat().st_rdev == before.st_rdev
    full = tmp_path / "full"
    os.mknod(full, stat.S_IFCHR | 0o666, os.makedev(1, 7))
    with pytest.raises(OSError, match="No space left"):
        write_output(full, b"new")
    assert stat.S_ISCHR(full.stat().st_mode)
    disk = tmp_path / "disk"
    os.mknod(disk, stat.S_IFBLK | 0o666, os.makedev(7, 99))
    with pytest.raises(FileError, match="it is a disk"):
        write_output(disk, b"new")


@pytest.mark.parametrize("step", ["write", "replace"])
def test_an_earlier_file_survives_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    path = tmp_path / "old.csv"
    path.write_bytes(b"old")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    if step == "write":
        monkeypatch.setattr(os, "fsync", full)
    else:
        monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        write_output(path, b"new")
    assert path.read_bytes() == b"old"
    assert nothing_left(tmp_path)


@pytest.mark.parametrize("number", [errno.EBUSY, errno.EACCES, errno.EPERM, errno.EROFS])
def test_a_file_that_cannot_be_replaced_is_written_in_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """One that is mounted by itself is busy; a folder may be somebody else's."""
    path = tmp_path / "old.csv"
    path.write_bytes(b"old and longer")
    inode = path.stat().st_ino

    def busy(*_: object) -> None:
        raise OSError(number, "busy")

    monkeypatch.setattr(Path, "replace", busy)
    write_output(path, b"new")
    assert (path.read_bytes(), path.stat().st_ino) == (b"new", inode)
    with pytest.raises(OSError, match="busy"):
        write_output(tmp_path / "new.csv", b"new")  # nothing is there that could be written
    assert nothing_left(tmp_path)
