"""What was submitted, as the folder of results remembers it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from hashbench.atomic import write_file
from hashbench.errors import FileError
from hashbench.files import read_json
from hashbench.results.made_by import now

SUBMITTED: Final = "submitted"
"""The folder of suites, scripts and notes, beside the results."""

_MAX_BYTES: Final = 2**20
_MOST: Final = 100


@dataclass(frozen=True)
class Note:
    """One submission.

    Attributes:
        to: the scheduler.
        job: its number or name there.
        jobs, cells: how many.
        when: ISO 8601.
    """

    to: str
    job: str
    jobs: int
    cells: int
    when: str


def notes_of(out: Path, name: str) -> list[Note]:
    """The submissions of one suite, the last one last; what cannot be read is passed over."""
    try:
        found: Any = read_json(_file(out, name), _MAX_BYTES)
    except (OSError, FileError):
        return []
    fields = {"to": str, "job": str, "jobs": int, "cells": int, "when": str}
    return [
        Note(**one)
        for one in (found if isinstance(found, list) else ())
        if isinstance(one, dict)
        and one.keys() == fields.keys()
        and all(type(one[key]) is kind for key, kind in fields.items())
    ]


def add_note(out: Path, name: str, to: str, job: str, jobs: int, cells: int) -> None:
    """Remember one more.

    Raises:
        WriteError: it cannot be written.
    """
    kept = [*notes_of(out, name), Note(to, job, jobs, cells, now())][-_MOST:]
    text = json.dumps([asdict(one) for one in kept], indent=2) + "\n"
    write_file(_file(out, name), text.encode())


def _file(out: Path, name: str) -> Path:
    return out / SUBMITTED / f"{name}.json"
