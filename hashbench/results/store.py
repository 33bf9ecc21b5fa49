"""The store: a folder of artifacts, each under the SHA-256 of what made it.

    artifacts/<kind>/<slug>-<key>/    the files of one artifact, and done.json, written last
    failures/<key>.json               why a step failed; gone once it succeeds
    plans/<hash>.json                 the cells that a run was asked for
    unfinished/<key>.safetensors      how far a training came that was interrupted; see `unfinished`

Folders of two machines are merged by copying one over the other. A folder may come from a stranger:
only regular files inside of it are read, each bounded, and nothing outside of it is written.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from hashbench.atomic import remove, sweep, write_file, write_folder
from hashbench.characters import shortened
from hashbench.errors import FileError, StoreError
from hashbench.files import parsed_json, read_bytes, sha256_of_file
from hashbench.results.address import SHA256, Address
from hashbench.results.artifacts import (
    KEY_DIGITS,
    MAX_BYTES,
    MAX_FILE_BYTES,
    MAX_PLAN_BYTES,
    UNFINISHED,
)
from hashbench.results.sums import SCHEMA, NewerError, Summed, checked_record, sealed

__all__ = ["DONE", "SCHEMA", "Artifact", "Failure", "Store"]

DONE = "done.json"

MAX_RECORD_BYTES: Final = 2**22
MAX_FILES: Final = 16
"""How many files an artifact may have."""

MAX_PLAN_VALUES: Final = 2_500_000
"""Of 20,000 cells in the formats 1 and 2, which write 3 kB and some 80 values for each."""

NUMBERED: Final = 3
"""The format since which plans have numbers."""

MAX_NUMBER: Final = 10**15
"""Of a plan. None that was written by a run comes near."""

MAX_SECONDS: Final = 1e9
"""Of a step: 30 years."""

MAX_REASON: Final = 4_000
MAX_TRACEBACK: Final = 100_000
"""How many characters of a failure are kept, from the end of a traceback."""


_PLAIN: Final = re.compile(r"[a-z0-9_][a-z0-9_.-]{0,60}")
"""Names of files that lie in an artifact's own folder."""


@dataclass(frozen=True)
class Failure:
    """Why a step failed.

    Attributes:
        reason: one sentence.
        traceback: where, for the author; may be empty.
    """

    reason: str
    traceback: str = ""


@dataclass(frozen=True)
class Artifact:
    """A finished artifact whose record holds; its files are not looked at before they are read.

    Attributes:
        folder: where it lies.
        record: what is known of its making, `done.json`.
    """

    folder: Path
    record: Mapping[str, Any]

    def read(self, name: str, limit: int = MAX_FILE_BYTES) -> bytes:
        """The content of one of its files.

        Raises:
            FileError: it is missing or damaged; the message names the file.
        """
        try:
            content = read_bytes(self.folder / name, limit, links=False)
        except (OSError, FileError) as error:
            raise FileError(f"{name}: {_cause(error)}") from None
        self._compare(name, hashlib.sha256(content).hexdigest())
        return content

    def check(self, name: str) -> None:
        """Compare a file with its sum; raises as `read`."""
        try:
            found = sha256_of_file(self.folder / name, MAX_BYTES, links=False)
        except (OSError, FileError) as error:
            raise FileError(f"{name}: {_cause(error)}") from None
        self._compare(name, found)

    def _compare(self, name: str, found: str) -> None:
        if self.record["files"].get(name) != found:
            raise FileError(f"{name}: its content is not what {DONE} says it was")


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

    def artifact(self, address: Address) -> Artifact | None:
        """An artifact by its record, without a look at its files; `None` where there is none.

        Raises:
            FileError: there is one, but its record is damaged, or of a newer hashbench.
        """
        folder = self.folder / address.path
        if folder.is_symlink():
            raise FileError("its folder is a link")
        try:
            content = read_bytes(folder / DONE, MAX_RECORD_BYTES, links=False)
        except FileNotFoundError:
            if folder.exists():
                raise FileError(f"{DONE}: it is missing") from None
            return None
        except (OSError, FileError) as error:
            raise FileError(f"{DONE}: {_cause(error)}") from None
        try:
            return Artifact(
                folder, _checked(checked_record(parsed_json(content), Summed.ARTIFACT), address)
            )
        except FileError as error:
            raise FileError(f"{DONE}: {error}") from None

    def write(self, address: Address, files: Mapping[str, bytes], about: Mapping[str, Any]) -> None:
        """Write an artifact; `done.json` with every file's hash comes last.

        Args:
            address: where to.
            files: content by file name.
            about: further fields of the record: plain data.
        """
        record = {
            "schema": SCHEMA,
            "kind": address.kind,
            "key": address.key,
            "files": {name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
            **about,
        }
        content = (json.dumps(sealed(record), indent=2, sort_keys=True) + "\n").encode()
        write_folder(self.folder / address.path, {**files, DONE: content}, last=DONE)
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
        """Note what a run was asked for."""
        path = self.folder / "plans" / f"{name}.json"
        _make_room(path)
        record = sealed({"schema": SCHEMA, **plan})
        content = json.dumps(record, sort_keys=True, separators=(",", ":")) + "\n"
        write_file(path, content.encode())

    def plan(self, name: str) -> dict[str, Any]:
        """One plan of this folder.

        Raises:
            StoreError: it is damaged, of a newer hashbench, or not there.
        """
        return _plan(self.folder / "plans" / f"{name}.json")

    def plan_names(self) -> tuple[str, ...]:
        """The names of the plans of this folder."""
        return tuple(path.stem for path in self._plan_paths())

    def next_number(self) -> int:
        """One more than the number of any plan that is there: it is the latest, whatever the clock.

        To be asked for by the only writer. A damaged plan has no number.

        Raises:
            StoreError: a plan has the largest number that there is, so none can follow it.
        """
        found = 0
        for path in self._plan_paths():
            try:
                plan = parsed_json(_plan_bytes(path), values=MAX_PLAN_VALUES)
            except (OSError, FileError):
                continue
            number = plan.get("number") if isinstance(plan, dict) else None
            if type(number) is int and number <= MAX_NUMBER:
                found = max(found, number)
            if found == MAX_NUMBER:
                raise StoreError(f"{path}: no run can have the number {found:,}; delete it")
        return found + 1

    def refuse_links(self) -> None:
        """Make sure that a run writes and deletes inside of this folder alone.

        Raises:
            StoreError: one of the store's folders is a link or a file.
        """
        rest = (self._failures, self.folder / "plans", self.folder / UNFINISHED)
        for folder in (self.folder / "artifacts", *self._kinds, *rest):
            if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
                what = "a link" if folder.is_symlink() else "a file"
                raise StoreError(
                    f"{folder}: it is {what}, expected a folder; a run writes into nothing else"
                )

    def sweep(self) -> None:
        """Delete what interrupted runs left half-written, once `refuse_links` has passed."""
        for folder in (*self._kinds, self._failures, self.folder / "plans"):
            sweep(folder)

    @property
    def _kinds(self) -> list[Path]:
        artifacts = self.folder / "artifacts"
        return [] if artifacts.is_symlink() else sorted(artifacts.glob("*"))

    @property
    def _failures(self) -> Path:
        return self.folder / "failures"

    def failure_path(self, address: Address) -> Path:
        """Where the note of a failed step lies."""
        return self._failures / f"{address.key[:KEY_DIGITS]}.json"

    def _plan_paths(self) -> list[Path]:
        return sorted((self.folder / "plans").glob("*.json"))

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


def _plan_bytes(path: Path) -> bytes:
    return read_bytes(path, MAX_PLAN_BYTES, links=False)


def _plan(path: Path) -> dict[str, Any]:
    try:
        # A plan says which result speaks for which cell, so it is checked as artifacts are.
        record = checked_record(parsed_json(_plan_bytes(path), values=MAX_PLAN_VALUES), Summed.PLAN)
        number = record.get("number", 0)
        if type(number) is not int or not 0 <= number <= MAX_NUMBER:
            raise FileError("its number is none")
        if record["schema"] < NUMBERED:
            record.pop("number", None)
    except NewerError as error:
        raise StoreError(f"{path}: {error}") from None
    except (OSError, FileError) as error:
        raise StoreError(
            f"{path}: cannot be read; run the suite again to mend it ({_cause(error)})"
        ) from None
    return record


def _checked(record: dict[str, Any], address: Address) -> dict[str, Any]:
    """The record of an artifact, once it holds what every one of them holds."""
    if record.get("key") != address.key or record.get("kind") != address.kind:
        raise FileError("it is of another artifact")
    files = record.get("files")
    if not isinstance(files, dict) or len(files) > MAX_FILES:
        raise FileError("its list of files is none")
    for name, digest in files.items():
        if not _PLAIN.fullmatch(name) or name == DONE:
            raise FileError(f"it names '{shortened(name)}', which is no file of an artifact")
        if not isinstance(digest, str) or not SHA256.fullmatch(digest):
            raise FileError(f"the sum of {name} is none")
    seconds = record.get("seconds", 0)
    if type(seconds) not in (int, float) or not 0 <= seconds <= MAX_SECONDS:
        raise FileError("its seconds are no length of time")
    versions = record.get("environment", {})
    if not isinstance(versions, dict) or not all(isinstance(one, str) for one in versions.values()):
        raise FileError("its environment is none")
    return record


def _make_room(path: Path) -> None:
    """Take away what stands in the place of a file and cannot be replaced by one."""
    if path.is_dir() and not path.is_symlink():
        remove(path)


def _writable(text: str) -> str:
    """A text without halves of surrogate pairs, which no file in UTF-8 can hold."""
    return text.encode("utf-8", "replace").decode()


def _cause(error: OSError | FileError) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
