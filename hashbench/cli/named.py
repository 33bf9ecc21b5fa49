"""The files and folders that options name to be written, with their names in what is refused."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from hashbench.characters import shortened
from hashbench.cli.options import LONGEST_PATH
from hashbench.errors import NO_ROOM, FileError, UsageError
from hashbench.files import why_no_folder
from hashbench.plugins.paths import at_home

_OF_THE_MACHINE: Final = (NO_ROOM - {errno.EROFS}) | {errno.EIO}
"""A full or broken disk: not what was typed."""


def refuse_file(path: Path) -> None:
    """Refuse, before any work is done, a file that could not be written.

    Raises:
        UsageError: see `hashbench.outputs.refuse_output`.
    """
    from hashbench.outputs import refuse_output

    with _named(path):
        refuse_output(path)


def refuse_folder(path: Path) -> None:
    """Refuse, before any work is done, a folder that could not be made.

    Raises:
        UsageError: there is a file of that name, or of the name of a folder above it.
    """
    with _named(path):
        for place in (path, *path.parents):
            if place.exists():
                if not place.is_dir():
                    raise FileError(f"{place}: {why_no_folder(place)}")
                return


def folder_of_results(out: Path) -> Path:
    """The folder that `--out` names; refused, before any work, where results cannot be kept.

    Raises:
        UsageError: it could not be made, or its name is not in UTF-8.
    """
    folder = Path(at_home(str(out), "--out"))
    refuse_folder(folder)
    try:
        os.fsencode(folder).decode()
    except UnicodeDecodeError:
        raise UsageError(
            f"--out {folder}: no name in UTF-8, and weights are read from no other"
        ) from None
    return folder


def refuse_no_new_folder(path: Path) -> None:
    """Refuse, before any work is done, a folder that is to be new where something is already.

    Raises:
        UsageError: see `hashbench.outputs.refuse_taken`; or it could not be made.
    """
    from hashbench.outputs import refuse_taken

    with _named(path):
        refuse_taken(path)
    refuse_folder(path)


def make_folder(path: Path) -> None:
    """Make a folder, and those above it that are not there.

    Raises:
        UsageError: a file is in the way, or the place cannot be written to.
    """
    with _named(path):
        path.mkdir(parents=True, exist_ok=True)


def write_file(path: Path, content: bytes) -> None:
    """Write a file; see `hashbench.outputs.write_output`.

    Raises:
        UsageError: it cannot be written for what it is or where it lies.
        OSError: the disk is full.
    """
    from hashbench.outputs import write_output

    with _named(path):
        write_output(path, content)


def refuse_device(device: str | None) -> None:
    """Refuse, before anything is read, a `--device` that torch cannot compute on.

    Raises:
        UsageError: it is neither cpu nor cuda, or is not on this machine.
    """
    if device is not None:
        from hashbench.runner.resolve import check_device

        check_device(device, "--device")


@contextmanager
def _named(path: Path) -> Iterator[None]:
    try:
        yield
    except FileError as error:
        raise UsageError(f"cannot write {_short(path)}: {error}") from None
    except OSError as error:
        if error.errno in _OF_THE_MACHINE:
            raise OSError(error.errno, error.strerror, str(path)) from None
        raise UsageError(f"cannot write {_short(path)}: {error.strerror or error}") from None


def _short(path: Path) -> str:
    return shortened(str(path), LONGEST_PATH)
