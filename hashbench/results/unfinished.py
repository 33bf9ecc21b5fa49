"""The states of unfinished trainings in a store: what is written after every epoch.

    unfinished/<key>.safetensors      gone once the training's artifact is there

A state is no result: no report reads it, no key depends on it, and it may be deleted at any time.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hashbench.atomic import sweep, write_file
from hashbench.errors import FileError, WriteError
from hashbench.files import read_bytes
from hashbench.results.artifacts import KEY_DIGITS, MAX_PLAN_BYTES, PLANS, UNFINISHED

SUFFIX: Final = ".safetensors"


@dataclass(frozen=True)
class UnfinishedTraining:
    """Where the state of one training lies, if it was interrupted.

    Attributes:
        store: the folder of the store.
        key: of the training's step.
        made_by: what the state depends on, the key included.
    """

    store: Path
    key: str
    made_by: str = ""

    @property
    def path(self) -> Path:
        """Its file."""
        return self.store / UNFINISHED / f"{self.key[:KEY_DIGITS]}{SUFFIX}"

    def read(self, limit: int) -> bytes | None:
        """What was last written; `None` where there is nothing that can be read.

        Args:
            limit: the most bytes that it may have.
        """
        with contextlib.suppress(OSError, FileError):
            return read_bytes(self.path, limit, links=False)
        return None

    def write(self, content: bytes) -> None:
        """Put a state in the place of the last one, whole or not at all.

        Raises:
            WriteError: there is no room; so there will be none for what is trained. Whatever else
                hinders it costs no more than the chance to go on from here.
        """
        try:
            write_file(self.path, content)
        except WriteError as error:
            if error.no_room:
                raise

    def clear(self) -> None:
        """Forget the state."""
        with contextlib.suppress(OSError):
            self.path.unlink(missing_ok=True)

    def mark(self) -> tuple[int, int] | None:
        """Something that changes whenever a state is written."""
        try:
            status = self.path.stat()
        except OSError:
            return None
        return status.st_ino, status.st_mtime_ns


def sweep_unfinished(store: Path, planned: Collection[str], todo: Collection[str]) -> None:
    """Delete states that nothing will go on from; for a folder that nobody else writes to.

    Those of steps that are planned, but need not be made, and those that no plan of the store names
    any more. The start of a training that another plan of the folder asks for stays.

    Args:
        store: its folder.
        planned: keys of all steps of the run.
        todo: keys of those that it will make.
    """
    folder = store / UNFINISHED
    sweep(folder)
    wanted, known = ({key[:KEY_DIGITS] for key in keys} for keys in (todo, planned))
    others = [path for path in folder.glob(f"*{SUFFIX}") if path.stem not in wanted]
    plans: list[bytes] = []
    if any(path.stem not in known for path in others):
        for plan in (store / PLANS).glob("*.json"):
            with contextlib.suppress(OSError, FileError):
                plans.append(read_bytes(plan, MAX_PLAN_BYTES, links=False))
    for path in others:
        name = path.stem.encode()
        if path.stem in known or not any(name in plan for plan in plans):
            with contextlib.suppress(OSError):
                path.unlink()
    tidy_unfinished(store)


def tidy_unfinished(store: Path) -> None:
    """Delete the folder of the states where it is empty."""
    with contextlib.suppress(OSError):
        (store / UNFINISHED).rmdir()
