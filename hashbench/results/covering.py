"""Plans whose cells a later plan all names: they say nothing of any cell, and need not be read.

A folder that grows has many plans, each with all cells of those before it. So a plan notes, as it
is written, which plans it covers: by the SHA-256 of their files, so that one which was changed
since is read as ever. What is noted is what people are told of a run; the cells stay in its own
file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from hashbench.errors import FileError
from hashbench.files import parsed_json, read_bytes
from hashbench.results.artifacts import MAX_PLAN_BYTES
from hashbench.results.sums import Summed, checked_record

COVERS: Final = "covers"
"""The field of a plan that holds them, by name."""

MAX_COVERED: Final = 200
"""How many plans one may cover, the latest ones; what is beyond is read as ever."""

MAX_PLAN_VALUES: Final = 10_000_000
"""Of 200,000 cells, which take up to some 40 values each; or of 100,000 in the formats 1 and 2."""

TOLD: Final = ("number", "asked", "suite", "command", "environment")
"""What is noted of a covered plan: its fields of these names."""


@dataclass(frozen=True)
class CoveredPlan:
    """What a later plan notes of one that it covers.

    Attributes:
        file: SHA-256 of its file.
        number, asked, suite, command, environment: as in the plan.
    """

    file: str
    number: int = 0
    asked: str = ""
    suite: Mapping[str, Any] = field(default_factory=dict)
    command: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def place(self) -> tuple[int, str, str]:
        """See `StoredPlan.place`."""
        return (self.number, self.asked, self.file)


def plan_bytes(path: Path) -> bytes:
    """The file of a plan; errors as of `read_bytes`."""
    return read_bytes(path, MAX_PLAN_BYTES, links=False)


def file_sum(path: Path) -> str:
    """SHA-256 of a plan's file; empty where it cannot be read."""
    try:
        return hashlib.sha256(plan_bytes(path)).hexdigest()
    except (OSError, FileError):
        return ""


def newest_first(paths: Sequence[Path]) -> list[Path]:
    """Plans by when their files were written: a guess that saves time, and decides nothing."""

    def when(path: Path) -> tuple[int, str]:
        try:
            return (path.lstat().st_mtime_ns, path.name)
        except OSError:
            return (0, path.name)

    return sorted(paths, key=when, reverse=True)


def covered_by(record: Mapping[str, Any], others: Sequence[Path]) -> dict[str, dict[str, Any]]:
    """Which plans a new one covers, as it notes them.

    Args:
        record: the new plan, with its number.
        others: the files of the folder's other plans.
    """
    cells, number = _cells(record), record.get("number", 0)
    if not cells:
        return {}
    found: dict[str, dict[str, Any]] = {}
    for path in newest_first(others):
        if path.stem in found:
            continue
        known = _whole(path)
        if known is None:
            continue
        plan, digest = known
        own = _cells(plan)
        if not own or not own <= cells or not plan.get("number", 0) < number:
            continue
        found[path.stem] = {"file": digest} | {key: plan[key] for key in TOLD if key in plan}
        by_name = {other.stem: other for other in others}
        for name, note in _notes(plan):
            if name in by_name and name not in found and file_sum(by_name[name]) == note["file"]:
                found[name] = dict(note)
    latest = sorted(found, key=lambda name: (found[name].get("number", 0), name), reverse=True)
    return {name: found[name] for name in latest[:MAX_COVERED]}


def numbers(paths: Sequence[Path], read: Callable[[Path], Any]) -> Iterator[tuple[Path, int]]:
    """The number of every plan that has one; of those that another covers, as it is noted there.

    Args:
        paths: the files.
        read: parses one; what it gives is not trusted.
    """
    noted: dict[str, Mapping[str, Any]] = {}
    for path in newest_first(paths):
        if path.stem in noted and file_sum(path) == noted[path.stem]["file"]:
            number = noted[path.stem].get("number", 0)
        else:
            plan = read(path)
            if not isinstance(plan, dict):
                continue
            number = plan.get("number")
            noted |= dict(_notes(plan))
        if type(number) is int:
            yield path, number


def _whole(path: Path) -> tuple[dict[str, Any], str] | None:
    """A plan whose sum holds, and the sum of its file; `None` where it cannot be read."""
    try:
        content = plan_bytes(path)
        plan = checked_record(parsed_json(content, values=MAX_PLAN_VALUES), Summed.PLAN)
    except (OSError, FileError):
        return None
    if type(plan.get("number", 0)) is not int:
        return None
    return plan, hashlib.sha256(content).hexdigest()


def _cells(plan: Mapping[str, Any]) -> frozenset[Any]:
    """The cells of a plan as it is written; none where they are not what they should be."""
    try:
        return frozenset(tuple(sorted(cell["cell"].items())) for cell in plan["cells"])
    except (KeyError, TypeError, AttributeError):
        return frozenset()


def _notes(plan: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    covers = plan.get(COVERS)
    for name, note in covers.items() if isinstance(covers, Mapping) else ():
        if isinstance(note, Mapping) and isinstance(note.get("file"), str):
            yield name, note
