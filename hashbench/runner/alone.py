"""One run at a time in a folder: a lock that the system takes back when a process is killed."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from hashbench.errors import NO_LOCKS, UsageError

READ_ONLY: Final = (errno.EROFS, errno.EACCES, errno.EPERM)
"""Error numbers of a folder that may be read, and not written."""

LOCK: Final = ".lock"

_HELD: Final = (errno.EAGAIN, errno.EACCES)
"""Error numbers of a lock that somebody else holds."""


class ReadOnlyError(UsageError):
    """Nothing can be written into the folder of a run; it may hold all that is asked for."""


@contextmanager
def only_writer(folder: Path) -> Iterator[bool]:
    """Hold the folder's lock; yields false on a file system without locks.

    Raises:
        ReadOnlyError: it cannot be written to.
        UsageError: another run is at work there, or there can be no such folder.
    """
    path = folder / LOCK
    if path.is_symlink() or (path.exists() and not path.is_file()):
        raise UsageError(f"{path}: it is no file of this folder; delete it")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        kind = ReadOnlyError if error.errno in READ_ONLY else UsageError
        raise kind(f"folder {folder}: cannot be written to ({error.strerror})") from None
    try:
        yield _locked(handle, folder)
    finally:
        os.close(handle)  # which lets go of the lock


def _locked(handle: int, folder: Path) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in NO_LOCKS:
            return False
        if error.errno in _HELD:
            raise UsageError(
                f"folder {folder}: another run is writing there; wait for it, or name another "
                "folder with --out"
            ) from None
        raise UsageError(f"folder {folder}: cannot be locked ({error.strerror})") from None
    return True
