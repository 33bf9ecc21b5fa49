"""Whether other runs are at work in a folder: a lock that all of them share.

It refuses nobody. Who gets it for itself alone knows that what lies there half-written is nobody's
any more, and may delete it; the system gives it back when a process is killed.
"""

from __future__ import annotations

import errno
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from hashbench.errors import NO_LOCKS, UsageError

READ_ONLY: Final = (errno.EROFS, errno.EACCES, errno.EPERM)
"""Error numbers of a folder that may be read, and not written."""

LOCK: Final = ".lock"

PATIENCE: Final = 60.0
"""Seconds for which another run may keep a folder for itself, as it does while it tidies up."""

_SECONDS_BETWEEN_TRIES: Final = 0.05

_HELD: Final = (errno.EAGAIN, errno.EACCES)
"""Error numbers of a lock that somebody else holds."""


class ReadOnlyError(UsageError):
    """Nothing can be written into the folder of a run; it may hold all that is asked for."""


class FolderLock:
    """The lock of one folder.

    Attributes:
        works: whether the file system has locks.
    """

    def __init__(self, folder: Path, handle: int) -> None:
        """Hold nothing yet."""
        self.works = sys.platform != "win32"
        self._folder = folder
        self._handle = handle

    def alone(self) -> bool:
        """Take it for this run alone; false where another run is there, or where nobody knows."""
        return self._locked(exclusive=True)

    def join(self) -> None:
        """Hold it together with others.

        Raises:
            UsageError: one of them keeps it for itself.
        """
        until = time.monotonic() + PATIENCE
        while self.works and not self._locked(exclusive=False):
            if time.monotonic() > until:
                raise UsageError(
                    f"folder {self._folder}: another run keeps it for itself, one of an earlier "
                    "version of hashbench perhaps; wait for it, or name another folder with --out"
                )
            time.sleep(_SECONDS_BETWEEN_TRIES)

    def last(self) -> bool:
        """Let go of it, and take it again for this run alone; false where others are there.

        Of runs that end at the same time, the one that lets go last gets it.
        """
        if not self.works:
            return False
        import fcntl

        fcntl.flock(self._handle, fcntl.LOCK_UN)
        return self._locked(exclusive=True)

    def _locked(self, *, exclusive: bool) -> bool:
        if not self.works:
            return False
        import fcntl

        try:
            fcntl.flock(
                self._handle, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB
            )
        except OSError as error:
            if error.errno in NO_LOCKS:
                self.works = False
            elif error.errno not in _HELD:
                raise UsageError(
                    f"folder {self._folder}: cannot be locked ({error.strerror})"
                ) from None
            return False
        return True


@contextmanager
def folder_lock(folder: Path) -> Iterator[FolderLock]:
    """The lock of a folder, which is made; let go of at the end.

    Raises:
        ReadOnlyError: it cannot be written to.
        UsageError: there can be no such folder.
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
        yield FolderLock(folder, handle)
    finally:
        os.close(handle)
