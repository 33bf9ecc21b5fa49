"""Folders: whether what hashbench writes can be written there, and how much room is left."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from hashbench.atomic import write_synced
from hashbench.doctor.finding import Finding, State, said
from hashbench.errors import NO_LOCKS, NO_ROOM, StoreError
from hashbench.files import why_no_folder

TRIED: Final = 2**20
"""Bytes that are written to see whether it can be done: more than a full disk has left over."""

LITTLE_ROOM: Final = 10**8
"""Bytes: the quick suite's folder takes some 20 MB."""

MOST_FILES: Final = 200_000
"""How many files of a cache are counted."""


def cache() -> Iterator[Finding]:
    """The folder of decoded images: where, how large, and whether it can be written."""
    from hashbench.data.cache.folder import VARIABLE, cache_folder

    subject = "data cache"
    try:
        folder = cache_folder()
    except StoreError as error:
        yield Finding(subject, State.WRONG, f"{error}; data sets that ship need none")
        return
    fault = why_not_written(folder)
    if fault:
        todo = f"name another folder with the environment variable {VARIABLE}"
        text = f"{fault}; {todo}; data sets that ship need none"
        yield Finding(subject, State.WRONG, text)
    elif folder.is_dir():
        size, more = _size(folder)
        text = f"{folder}, {'more than ' if more else ''}{size / 1e6:,.1f} MB"
        yield Finding(subject, State.OK, f"{text}, can be written")
    else:
        yield Finding(subject, State.OK, f"{folder}, not there yet, can be made")


def results(folder: Path) -> Iterator[Finding]:
    """The folder of results: whether it can be written, locked, and holds enough room.

    Args:
        folder: may not be there yet; nothing of it is changed.
    """
    subject = "results"
    fault = why_not_written(folder)
    if fault:
        read = "what is finished there can be read; " if _is_folder(folder) else ""
        yield Finding(subject, State.WRONG, f"{fault}; {read}name another folder with --out")
        return
    there = "can be written" if folder.is_dir() else "not there yet, can be made"
    yield Finding(subject, State.OK, f"{folder}, {there}")
    yield _locks(folder)
    free = shutil.disk_usage(nearest(folder)).free
    if free < LITTLE_ROOM:
        text = f"{free / 1e6:,.0f} MB free for {folder}: too little for a run; make room"
        yield Finding("disk", State.WRONG, text)
    else:
        yield Finding("disk", State.OK, f"{free / 1e9:,.1f} GB free for {folder}")


def temporary() -> Iterator[Finding]:
    """The system's folder for temporary files."""
    subject = "temporary"
    try:
        folder = Path(tempfile.gettempdir())
    except OSError:
        text = "no folder for temporary files can be written; name one with TMPDIR"
        yield Finding(subject, State.WRONG, text)
        return
    fault = why_not_written(folder)
    if fault:
        yield Finding(subject, State.WRONG, f"{fault}; name another folder with TMPDIR")
    else:
        yield Finding(subject, State.OK, f"{folder}, can be written")


def _is_folder(place: Path) -> bool:
    """Whether a folder is there, as far as one may look."""
    try:
        return place.is_dir()
    except OSError:
        return False


def nearest(folder: Path) -> Path:
    """The folder itself, or what is there of the folders above it."""
    for place in (folder, *folder.absolute().parents):
        if place.exists() or place.is_symlink():
            return place
    return Path(folder.anchor or ".")


def why_not_written(folder: Path) -> str:
    """Why no file can be written into a folder that is there, or would be made; empty if it can.

    One is written where a folder is, and taken away again.
    """
    place = nearest(folder)
    try:
        if not place.is_dir():
            return f"{place}: {why_no_folder(place)}"
        file = _new_file(place)
        try:
            write_synced(file, bytes(TRIED))
        finally:
            with contextlib.suppress(OSError):
                file.unlink(missing_ok=True)
    except OSError as error:
        reason = error.strerror or said(error)
        full = error.errno in NO_ROOM and error.errno != errno.EROFS
        what = "no room is left" if full else "cannot be written"
        return f"{folder}: {what} ({reason})"
    return ""


def _new_file(folder: Path) -> Path:
    """A name in a folder that nothing there has."""
    return folder / f".hashbench-doctor-{secrets.token_hex(4)}.tmp"


def _locks(folder: Path) -> Finding:
    """Whether a lock can be held where the results are, as a run holds one."""
    subject = "locks"
    file = _new_file(nearest(folder))
    try:
        handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            if sys.platform != "win32":
                import fcntl

                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        finally:
            os.close(handle)
    except OSError as error:
        if error.errno in NO_LOCKS:
            text = f"{folder}: its file system has none; never let two runs write there at once"
            return Finding(subject, State.NOTE, text)
        return Finding(subject, State.WRONG, f"{said(error)}; name another folder with --out")
    finally:
        with contextlib.suppress(OSError):
            file.unlink(missing_ok=True)
    return Finding(subject, State.OK, "work there")


def _size(folder: Path) -> tuple[int, bool]:
    """Bytes of the files below a folder, no link followed; and whether there are too many."""
    size = counted = 0
    for base, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                size += os.lstat(f"{base}/{name}").st_size
            counted += 1
            if counted >= MOST_FILES:
                return size, True
    return size, False
