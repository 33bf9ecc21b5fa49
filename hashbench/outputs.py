"""Writing the files that a user names: whatever is there already, nothing of it is lost by it.

What the product keeps for itself is written by `hashbench.atomic`; here the name is somebody's.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from hashbench.atomic import sync_folder, write_synced
from hashbench.errors import FileError, UsageError
from hashbench.standard_streams import PatientOutput

_OPEN: Final = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)

_IN_PLACE: Final = (errno.EACCES, errno.EPERM, errno.EBUSY, errno.EROFS)
"""Where no file can be put beside another, or in its place, the file itself may still be written:
in a folder of somebody else, or a file that is mounted by itself."""

_MOST_LINKS: Final = 40
"""How many links are followed, as Linux does."""


def refuse_taken(folder: Path) -> None:
    """Refuse the place of a folder that is to be new; an empty one may be there.

    Raises:
        UsageError: what is there is a file, a link, or a folder that holds something.
    """
    if folder.is_symlink():
        raise UsageError(f"--to {folder}: it is a link; name a new folder")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"--to {folder}: it is there already; name a new folder")


def refuse_output(path: Path) -> None:
    """Say beforehand what can be known of a file that is to be written.

    Raises:
        FileError: it is a folder, its own folder is not there, it is a block device or a socket,
            or it is read-only.
        OSError: its name is too long, a folder on the way may not be entered, links run in a
            circle.
    """
    status = _status(path)
    if status is None:
        _refuse_folder_of(path)
    elif stat.S_ISDIR(status.st_mode):
        raise FileError("it is a folder; name a file in it")
    elif stat.S_ISBLK(status.st_mode) or stat.S_ISSOCK(status.st_mode):
        what = "a disk" if stat.S_ISBLK(status.st_mode) else "a socket"
        raise FileError(f"it is {what}, expected a file")
    elif stat.S_ISREG(status.st_mode) and not (status.st_mode & 0o222 and os.access(path, os.W_OK)):
        raise FileError("it is read-only")


def write_output(path: Path, content: bytes) -> None:
    """Write a file that a user named, whole or not at all where that can be.

    A new file gets the rights that the umask leaves. A regular file is replaced by a whole one and
    keeps mode and owner; a link is followed, so that the file it leads to is replaced and the link
    stays. A file of several names (hard links), with attributes beyond its mode, or of an owner
    that this process cannot give it is written in place, once
    the content is safe on its disk: then all of its names have it. A device, a named pipe and
    the streams of this process (`/dev/stdout`) are written into and stay what they are.

    Raises:
        FileError, OSError: as for `refuse_output`; FileError also where nobody reads from a named
            pipe; OSError where the disk is full. An earlier file survives that,
            unless it is one that is written in place.
    """
    refuse_output(path)
    status = _status(path)
    if (stream := _own_stream(path, status)) is not None:
        sys.stdout.flush()
        _write_into(stream, content)
    elif status is not None and not stat.S_ISREG(status.st_mode):
        _write_into(_opened(path), content)
    else:
        _write_regular(Path(os.path.realpath(path)), status, content)


def _refuse_folder_of(path: Path) -> None:
    folder = Path(os.path.realpath(path)).parent if path.is_symlink() else path.parent
    status = _status(folder)
    if status is None:
        raise FileError(f"there is no folder {folder}; make it first")
    if not stat.S_ISDIR(status.st_mode):
        raise FileError(f"{folder} is no folder")


def _status(path: Path) -> os.stat_result | None:
    """What is there, links followed; `None` where nothing is.

    Raises:
        FileError: a name that no file can have.
    """
    try:
        return path.stat()
    except FileNotFoundError:
        return None
    except ValueError:
        raise FileError("its name holds a character that no file can have") from None


def _own_stream(path: Path, status: os.stat_result | None) -> int | None:
    """A descriptor of this process that the path is a name of, doubled; `None` where it is none.

    What lies behind `/dev/stdout` may be a file that the shell's other commands write as well: to
    open it anew would write over what they wrote.
    """
    if status is None:
        return None
    last = path
    for _ in range(_MOST_LINKS):  # /dev/stdout -> /proc/self/fd/1
        if last.name.isdecimal() and os.path.realpath(last.parent) == f"/proc/{os.getpid()}/fd":
            return os.dup(int(last.name))
        if not last.is_symlink():
            break
        last = last.parent / last.readlink()
    for handle in (1, 2):
        with contextlib.suppress(OSError):
            if os.path.samestat(os.fstat(handle), status):
                return os.dup(handle)
    return None


def _opened(path: Path) -> int:
    """A device or a named pipe.

    Raises:
        FileError: nobody reads from the pipe.
    """
    try:
        # Without O_NONBLOCK a pipe would be waited at until somebody reads from it.
        handle = os.open(path, os.O_WRONLY | _OPEN)
    except OSError as error:
        if error.errno == errno.ENXIO:
            raise FileError("nobody reads from it") from None
        raise
    os.set_blocking(handle, True)
    return handle


def _write_into(handle: int, content: bytes) -> None:
    """All of it; a reader that goes away before the end has had enough."""
    output = PatientOutput(handle)
    try:
        output.write(content)
    finally:
        os.close(handle)
    if output.trouble is not None:
        raise output.trouble


def _write_regular(path: Path, earlier: os.stat_result | None, content: bytes) -> None:
    try:
        with _beside(path, content) as temporary:
            if earlier is None or _made_alike(temporary, path, earlier):
                temporary.replace(path)
                sync_folder(path.parent)
                return
            _write_in_place(path, content)
    except OSError as error:
        if earlier is None or error.errno not in _IN_PLACE:
            raise
        _write_in_place(path, content)


@contextlib.contextmanager
def _beside(path: Path, content: bytes) -> Iterator[Path]:
    """The content in a temporary file of the same folder, which is gone afterwards."""
    temporary = path.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        write_synced(temporary, content)
        yield temporary
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def _made_alike(temporary: Path, path: Path, earlier: os.stat_result) -> bool:
    """Give a file mode and owner of an earlier one; `False` where it would not be the same."""
    if earlier.st_nlink > 1 or _has_attributes(path):
        return False
    own = temporary.stat()
    if (own.st_uid, own.st_gid) != (earlier.st_uid, earlier.st_gid):
        try:
            os.chown(temporary, earlier.st_uid, earlier.st_gid)
        except OSError:  # not allowed, or an owner that a container has no number for
            return False
    temporary.chmod(stat.S_IMODE(earlier.st_mode))
    return True


def _has_attributes(path: Path) -> bool:
    """Whether a file has more to it than mode and owner, such as a list of who may read it."""
    try:
        return hasattr(os, "listxattr") and bool(os.listxattr(path))
    except OSError:  # its file system knows none
        return False


def _write_in_place(path: Path, content: bytes) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_TRUNC)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
