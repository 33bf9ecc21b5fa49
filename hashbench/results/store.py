"""The store: a folder of artifacts, each under the SHA-256 of what made it.

    artifacts/<kind>/<slug>-<key>/    the files of one artifact, and done.json, written last
    failures/<key>.json               why a step failed; gone once it succeeds
    plans/<hash>.json                 the cells that a run was asked for
    claims/<key>.<n>.json             which run makes what just now; see `claims`
    unfinished/<key>.safetensors      how far a training came that was interrupted; see `unfinished`

Folders of two machines are merged by copying one over the other. A folder may come from a stranger:
only regular files inside of it are read, each bounded, and nothing outside of it is written.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Final

from hashbench.atomic import remove, sweep, write_file, write_folder
from hashbench.characters import shortened
from hashbench.errors import FileError, StoreError, WriteError
from hashbench.files import parsed_json, read_bytes
from hashbench.results.address import Address
from hashbench.results.artifacts import (
    ARTIFACTS,
    CLAIMS,
    FAILURES,
    KEY_DIGITS,
    MATCH_PLANS,
    PLANS,
    UNFINISHED,
)
from hashbench.results.covering import (
    COVERS,
    MAX_PLAN_VALUES,
    covered_by,
    numbers,
    plan_bytes,
)
from hashbench.results.finished import DONE, MAX_RECORD_BYTES, Artifact, artifact_in, cause_of
from hashbench.results.made_by import host, made_by, now
from hashbench.results.sums import SCHEMA, NewerError, Summed, checked_record, json_pieces, sealed

__all__ = ["DONE", "SCHEMA", "Artifact", "Failure", "Store"]

NUMBERED: Final = 3
"""The format since which plans have numbers."""

MAX_NUMBER: Final = 10**15
"""Of a plan. None that was written by a run comes near."""

MAX_REASON: Final = 4_000
MAX_TRACEBACK: Final = 100_000
"""How many characters of a failure are kept, from the end of a traceback."""

_IN_PLACE: Final = (errno.ENOTEMPTY, errno.EEXIST)
"""Error numbers of a folder that came to its place while another was about to."""


@dataclass(frozen=True)
class Failure:
    """Why a step failed.

    Attributes:
        reason: one sentence.
        traceback: where, for the author; may be empty.
    """

    reason: str
    traceback: str = ""


class Store:
    """Reads and writes one folder; holds no state of its own."""

    def __init__(self, folder: Path) -> None:
        """Use a folder; it is made when something is first written."""
        self.folder = folder

    def has(self, address: Address) -> bool:
        """Whether the artifact is there, whole and undamaged."""
        return self._intact(address) is not None

    def file(self, address: Address, name: str) -> Path:
        """The path of one file of a finished artifact.

        Raises:
            StoreError: the artifact is missing or damaged, or has no such file.
        """
        record = self._intact(address)
        if record is None or name not in record["files"]:
            raise StoreError(f"{self.folder / address.path}: missing or damaged; run it again")
        return self.folder / address.path / name

    def record(self, address: Address) -> dict[str, Any] | None:
        """What is known of an artifact's making (`made`, `environment`, `seconds`)."""
        return self._intact(address)

    def folder_names(self, kind: str) -> frozenset[str] | None:
        """The names of what lies where artifacts of a kind do; `None` where it cannot be listed.

        A folder that holds nothing of a plan is known to by one look instead of one for each step.
        """
        try:
            return frozenset(path.name for path in (self.folder / ARTIFACTS / kind).iterdir())
        except FileNotFoundError:
            return frozenset()
        except OSError:
            return None

    def artifact(self, address: Address) -> Artifact | None:
        """An artifact by its record, without a look at its files; `None` where there is none.

        Raises:
            FileError: there is one, but its record is damaged, or of a newer hashbench.
        """
        return artifact_in(self.folder / address.path, address.kind, address.key)

    def write(self, address: Address, files: Mapping[str, bytes], about: Mapping[str, Any]) -> None:
        """Write an artifact; `done.json` with every file's hash comes last.

        Args:
            address: where to.
            files: content by file name.
            about: further fields of the record: plain data; not written where the same files are
                there already. To its `environment` the version of
                hashbench is added, and the state of its sources in git.
        """
        record = {
            "schema": SCHEMA,
            "kind": address.kind,
            "key": address.key,
            "files": {name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
            "written": now(),
            "host": host(),
            **about,
            "environment": {**about.get("environment", {}), **made_by()},
        }
        if not self._holds(address, record["files"]):
            content = (json.dumps(sealed(record), indent=2, sort_keys=True) + "\n").encode()
            try:
                write_folder(self.folder / address.path, {**files, DONE: content}, last=DONE)
            except WriteError as error:
                if error.errno not in _IN_PLACE or not self._holds(address, record["files"]):
                    raise
        self.clear_failure(address)

    def fail(self, address: Address, failure: Failure) -> None:
        """Note that a step failed."""
        note = {
            "schema": SCHEMA,
            "reason": _writable(shortened(failure.reason, MAX_REASON)),
            "traceback": _writable(failure.traceback[-MAX_TRACEBACK:]),
        }
        path = self.failure_path(address)
        _make_room(path)
        write_file(path, (json.dumps(note, indent=2) + "\n").encode())

    def failure(self, address: Address) -> Failure | None:
        """Why a step failed when it was last tried; `None` where it did not."""
        with contextlib.suppress(FileError):
            if self.artifact(address) is not None:
                return None  # the note could not be deleted when the step succeeded
        return self.noted_failure(address)

    def noted_failure(self, address: Address) -> Failure | None:
        """The note of a failure, also where an earlier artifact is still there."""
        try:
            content = read_bytes(self.failure_path(address), MAX_RECORD_BYTES, links=False)
            record = checked_record(parsed_json(content), Summed.NEVER)
        except (OSError, FileError):
            return None  # a damaged note: the step has no artifact, so it counts as not run
        if not isinstance(record.get("reason"), str):
            return None
        reason, traceback = record["reason"], str(record.get("traceback", ""))
        return Failure(shortened(reason, MAX_REASON), traceback)

    def failed_keys(self) -> frozenset[str]:
        """The first digits of the keys of all steps that failed, as their notes are named."""
        try:
            return frozenset(path.stem for path in self._failures.iterdir())
        except OSError:
            return frozenset()

    def clear_failure(self, address: Address) -> None:
        """Forget a failure, since the step is to be tried again."""
        path = self.failure_path(address)
        _make_room(path)
        with contextlib.suppress(OSError):  # it says nothing once the artifact is there
            path.unlink(missing_ok=True)

    def write_plan(self, name: str, plan: Mapping[str, Any]) -> None:
        """Note what a run was asked for, and which of the earlier plans that covers."""
        path = self.plan_path(name)
        _make_room(path)
        covered = covered_by(plan, [other for other in self._plan_paths() if other != path])
        record = sealed({"schema": SCHEMA, **plan, COVERS: covered})
        write_file(path, chain(json_pieces(record, compact=True), (b"\n",)))

    def plan(self, name: str) -> dict[str, Any]:
        """One plan of this folder.

        Raises:
            StoreError: it is damaged, of a newer hashbench, or not there.
        """
        return _plan(self.plan_path(name))

    def plan_names(self) -> tuple[str, ...]:
        """The names of the plans of this folder."""
        return tuple(path.stem for path in self._plan_paths())

    def plan_path(self, name: str) -> Path:
        """The file of one plan."""
        return self.folder / PLANS / f"{name}.json"

    def next_number(self) -> int:
        """One more than the number of any plan that is there: it is the latest, whatever the clock.

        To be asked for by who alone writes plans just now. A damaged plan has no number.

        Raises:
            StoreError: a plan has the largest number that there is, so none can follow it; or a
                newer hashbench wrote one, whose results this one would take for damaged.
        """
        found = 0
        for path, number in numbers(self._plan_paths(), _plan_to_follow):
            if number <= MAX_NUMBER:
                found = max(found, number)
            if found == MAX_NUMBER:
                raise StoreError(f"{path}: no run can have the number {found:,}; delete it")
        return found + 1

    def refuse_links(self, *more: str) -> None:
        """Make sure that a run writes and deletes inside of this folder alone.

        Args:
            more: names of further folders in it that are written into.

        Raises:
            StoreError: one of the store's folders is a link or a file.
        """
        names = (PLANS, MATCH_PLANS, UNFINISHED, CLAIMS, *more)
        rest = (self._failures, *(self.folder / name for name in names))
        for folder in (self.folder / ARTIFACTS, *self._kinds, *rest):
            if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
                what = "a link" if folder.is_symlink() else "a file"
                raise StoreError(
                    f"{folder}: it is {what}, expected a folder; a run writes into nothing else"
                )

    def sweep(self) -> None:
        """Delete what interrupted runs left half-written, once `refuse_links` has passed."""
        plans = (self.folder / PLANS, self.folder / MATCH_PLANS)
        for folder in (*self._kinds, self._failures, *plans):
            sweep(folder)

    def sweep_one(self, address: Address) -> None:
        """Delete what a writer of one artifact, which has ended since, left half-written."""
        place = self.folder / address.path
        sweep(place.parent, place.name)

    @property
    def _kinds(self) -> list[Path]:
        artifacts = self.folder / ARTIFACTS
        return [] if artifacts.is_symlink() else sorted(artifacts.glob("*"))

    @property
    def _failures(self) -> Path:
        return self.folder / FAILURES

    def failure_path(self, address: Address) -> Path:
        """Where the note of a failed step lies."""
        return self._failures / f"{address.key[:KEY_DIGITS]}.json"

    def _plan_paths(self) -> list[Path]:
        return sorted((self.folder / PLANS).glob("*.json"))

    def _holds(self, address: Address, files: Mapping[str, str]) -> bool:
        """Whether the very files are there: of two runs that made one artifact, one was faster.

        Another run may be reading them just now, so they are not replaced by the same ones.
        """
        found = self._intact(address)
        return found is not None and found["files"] == files

    def _intact(self, address: Address) -> dict[str, Any] | None:
        try:
            found = self.artifact(address)
            if found is None:
                return None
            for name in found.record["files"]:
                found.check(name)
        except FileError:
            return None
        return dict(found.record)


def _plan_as_it_is(path: Path) -> Any:
    """A plan without a look at its sum; `None` where it cannot be read."""
    try:
        return parsed_json(plan_bytes(path), values=MAX_PLAN_VALUES)
    except (OSError, FileError):
        return None


def _plan_to_follow(path: Path) -> Any:
    """As `_plan_as_it_is`; one of a newer hashbench is an error."""
    plan = _plan_as_it_is(path)
    schema = plan.get("schema") if isinstance(plan, dict) else None
    if type(schema) is int and schema > SCHEMA:
        raise StoreError(
            f"{path}: written in format {shortened(str(schema))}, this hashbench reads up to "
            f"{SCHEMA}, and would make again what it cannot read: update it, or name another "
            "folder with --out"
        )
    return plan


def _plan(path: Path) -> dict[str, Any]:
    try:
        # A plan says which result speaks for which cell, so it is checked as artifacts are.
        record = checked_record(parsed_json(plan_bytes(path), values=MAX_PLAN_VALUES), Summed.PLAN)
        number = record.get("number", 0)
        if type(number) is not int or not 0 <= number <= MAX_NUMBER:
            raise FileError("its number is none")
        if record["schema"] < NUMBERED:
            record.pop("number", None)
    except NewerError as error:
        raise StoreError(f"{path}: {error}") from None
    except (OSError, FileError) as error:
        raise StoreError(
            f"{path}: cannot be read; run the suite again to mend it ({cause_of(error)})"
        ) from None
    return record


def _make_room(path: Path) -> None:
    """Take away what stands in the place of a file and cannot be replaced by one."""
    if path.is_dir() and not path.is_symlink():
        remove(path)


def _writable(text: str) -> str:
    """A text without halves of surrogate pairs, which no file in UTF-8 can hold."""
    return text.encode("utf-8", "replace").decode()
