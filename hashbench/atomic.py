"""Writing files so that nothing half-written is ever read: the only place that writes results."""

from __future__ import annotations

import contextlib
import glob
import os
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from hashbench.errors import WriteError


def write_file(path: Path, content: bytes | Iterable[bytes]) -> None:
    """Write a file whole or not at all.

    A temporary file in the same folder is written and synced, then renamed over `path`; an earlier
    file survives any failure.

    Args:
        path: where to.
        content: all of it, or its pieces: then it is never in memory as a whole.

    Raises:
        WriteError: the disk is full, the folder cannot be written; nothing is left behind.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    with _told_as(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            write_synced(temporary, content)
            temporary.replace(path)
            sync_folder(path.parent)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise


def write_folder(path: Path, files: Mapping[str, bytes], last: str) -> None:
    """Write a folder of files whole or not at all.

    Args:
        path: where the folder shall appear. If it already exists it is replaced.
        files: content by file name.
        last: the name that is written after all others: the marker that says 'done'.

    Raises:
        WriteError: as for `write_file`; it names the file of the folder that was at fault, or else
            the folder.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    with _told_as(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            temporary.mkdir()
            for name in [name for name in files if name != last] + [last]:
                with _told_as(path / name):
                    write_synced(temporary / name, files[name])
            sync_folder(temporary)
            with _set_aside(path):
                temporary.rename(path)
            sync_folder(path.parent)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise


@contextlib.contextmanager
def whole_folder(path: Path) -> Iterator[Callable[[str, bytes], None]]:
    """A new folder with folders in it, whole or not at all; never in memory as a whole.

    Args:
        path: where the folder shall appear once the block has ended. An empty one is replaced.

    Yields:
        A function that writes a file: its place in the folder, such as `a/b.png`, and its content.

    Raises:
        WriteError: it cannot be written; as after any error in the block nothing is left behind.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")

    def write(place: str, content: bytes) -> None:
        with _told_as(path / place):
            (temporary / place).parent.mkdir(parents=True, exist_ok=True)
            write_synced(temporary / place, content)

    with _told_as(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.mkdir()
    try:
        yield write
        with _told_as(path):
            for folder, _, _ in os.walk(temporary):
                sync_folder(Path(folder))
            if path.is_dir() and not path.is_symlink():
                path.rmdir()  # which refuses one that holds something by now
            temporary.rename(path)
            sync_folder(path.parent)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


@contextlib.contextmanager
def _told_as(path: Path) -> Iterator[None]:
    """Say of which file it is that the system would not write; temporaries have names of no use."""
    try:
        yield
    except WriteError:
        raise
    except OSError as error:
        raise WriteError(path, error) from error


@contextlib.contextmanager
def _set_aside(path: Path) -> Iterator[None]:
    """Make room for a new folder; the old one comes back if that fails, and goes if it does not.

    An old one is a damaged artifact, or the same one that another process was faster with. It may
    be a file or a link: what a link leads to stays as it is.
    """
    if not path.exists() and not path.is_symlink():
        yield
        return
    aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.old")
    path.rename(aside)
    try:
        yield
    except BaseException:
        aside.rename(path)
        raise
    remove(aside)


def sweep(folder: Path, name: str = "") -> None:
    """Delete what interrupted writers left in a folder that nobody else writes to.

    Args:
        folder: where they wrote.
        name: of the only file or folder that nobody else writes to.
    """
    one = f".{glob.escape(name)}.*" if name else ".*"
    for rest in [*folder.glob(f"{one}.tmp"), *folder.glob(f"{one}.old")]:
        remove(rest)


def remove(path: Path) -> None:
    """Delete a file or a whole folder, where that can be done; no link is followed."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()


def discard(path: Path) -> None:
    """Delete a file or a whole folder, so that nobody ever finds a part of it under its name.

    A process that is killed half-way leaves what `sweep` deletes. No link is followed.

    Raises:
        OSError: it cannot be deleted; it may be gone from its name all the same.
    """
    if path.is_symlink() or not path.is_dir():
        path.unlink()
        return
    aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.old")
    path.rename(aside)
    shutil.rmtree(aside)


def write_synced(path: Path, content: bytes | Iterable[bytes]) -> None:
    """Write a new file, and wait until it is on the disk."""
    with path.open("xb") as file:
        for piece in (content,) if isinstance(content, bytes) else content:
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(path: Path) -> None:
    """Make renames in a folder durable, where the file system lets a folder be opened."""
    with contextlib.suppress(OSError):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
