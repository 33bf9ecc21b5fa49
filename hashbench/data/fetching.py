"""Fetching the files of a data set whose licence allows it: whole and verified, or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import secrets
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Final

from hashbench.data.origins import Origin, OriginFile
from hashbench.errors import DownloadError, UsageError, WriteError
from hashbench.files import why_no_folder
from hashbench.progress import Progress

PATIENCE: Final = 60
"""Seconds without a byte after which a server counts as silent."""

_BLOCK: Final = 1 << 16


def fetch(origin: Origin, folder: Path, progress: Progress) -> list[str]:
    """Fetch what is not in the folder yet.

    Each file is written under another name, and gets its own once its size and SHA-256 are those of
    the table; so no half file and no other file ever lies there, whatever happens.

    Args:
        origin: one whose files may be fetched.
        folder: is made where it is not there, but the folder that it lies in has to be.
        progress: told (bytes there, bytes in all).

    Returns:
        The names of the files that were fetched; those that were there and sound are left out.

    Raises:
        UsageError: the folder cannot be one, or holds another file of such a name.
        DownloadError: no connection, a server that refuses or falls silent, another file than the
            table's.
        WriteError: the disk is full, or the folder cannot be written to.
    """
    made = _make(folder)
    try:
        return _fetch_all(origin, folder, progress)
    finally:
        if made:  # an empty one is of no use
            with contextlib.suppress(OSError):
                folder.rmdir()


def _fetch_all(origin: Origin, folder: Path, progress: Progress) -> list[str]:
    total, done, fetched = origin.size, 0, list[str]()
    for file in origin.files:
        path = folder / file.name
        if path.exists() or path.is_symlink():
            _refuse_other(path, file)
        else:
            _fetch_file(file, path, partial(_told, progress, done, total))
            fetched.append(file.name)
        done += file.size or 0
        progress(done, total)
    return fetched


def _told(progress: Progress, before: int, total: int, more: int) -> None:
    progress(before + more, total)


def _make(folder: Path) -> bool:
    """Make the folder; whether it was not there before."""
    if folder.is_dir():
        return False
    if folder.exists() or folder.is_symlink():
        raise UsageError(f"--to {folder}: {why_no_folder(folder)}")
    if not folder.absolute().parent.is_dir():
        raise UsageError(f"--to {folder}: there is no folder {folder.absolute().parent}")
    folder.mkdir()
    return True


def _refuse_other(path: Path, file: OriginFile) -> None:
    """Raise UsageError where a file of this name is not the one of the table."""
    same = path.is_file() and path.stat().st_size == file.size
    if not (same and hashlib.sha256(path.read_bytes()).hexdigest() == file.sha256):
        raise UsageError(
            f"{path}: it is there, and is not the file of {file.address}; move it away, or name "
            "another folder"
        )


def _fetch_file(file: OriginFile, path: Path, told: Callable[[int], None]) -> None:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("xb") as out:
            found, digest = 0, hashlib.sha256()
            for block in _blocks(file):
                found += len(block)
                if file.size is not None and found > file.size:
                    break
                digest.update(block)
                out.write(block)
                told(found)
            out.flush()
            os.fsync(out.fileno())
        _refuse_wrong(file, found, digest.hexdigest(), temporary)
        temporary.replace(path)
    except OSError as error:
        raise WriteError(path, error) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def _blocks(file: OriginFile) -> Iterator[bytes]:
    """What the server sends."""
    asked = urllib.request.Request(  # noqa: S310 - an address of the table
        file.address, headers={"User-Agent": f"hashbench/{version('hashbench')}"}
    )
    try:
        with urllib.request.urlopen(asked, timeout=PATIENCE) as answer:  # noqa: S310
            while block := answer.read(_BLOCK):
                yield block
    except urllib.error.HTTPError as error:
        raise DownloadError(
            f"{file.address}: the server answers {error.code} {error.reason}; try again later, or "
            "fetch the file by hand"
        ) from error
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise DownloadError(
            f"{file.address}: it cannot be reached ({reason}); is this machine online? Nothing of "
            "the file is kept. It can be fetched elsewhere and laid into the folder"
        ) from error


def _refuse_wrong(file: OriginFile, size: int, sha256: str, temporary: Path) -> None:
    if size == file.size and sha256 == file.sha256:
        return
    with temporary.open("rb") as start:
        page = start.read(512).lstrip().lower().startswith((b"<!doctype", b"<html"))
    if page:
        found = "a web page came in its place"
    elif file.size is not None and size != file.size:
        more = "more than " if size > file.size else ""
        found = f"{more}{min(size, file.size):,} bytes came, {file.size:,} were expected"
    else:
        found = f"its SHA-256 is {sha256}, expected {file.sha256}"
    raise DownloadError(f"{file.address}: {found}; nothing of it is kept")
