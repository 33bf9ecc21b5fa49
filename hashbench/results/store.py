"""The store: a folder of artifacts, each under the SHA-256 of what made it.

    artifacts/<kind>/<slug>-<key>/    the files of one artifact, and done.json, written last
    failures/<key>.json               why a step failed; gone once it succeeds
    plans/<hash>.json                 the cells that a run was asked for
unfinished/<key>.safetensors      how far a training came that was interrupted; see `unfinished`

Folders of two machines are merged by copying one over the other.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

from hashbench.atomic import sweep, write_file, write_folder
from hashbench.errors import StoreError

SCHEMA = 2
"""The format of plans, records and notes; see `hashbench.results.migrations` for older ones."""

DONE = "done.json"


@dataclass(frozen=True)
class Address:
    """Where an artifact lies.

    Attributes:
        kind: an `ArtifactKind`, or what a later version adds to them.
        slug: a readable hint, no part of the identity.
        key: SHA-256 of what makes it.
    """

    identity: ClassVar[bool] = True

    kind: str
    slug: str
    key: str

    @property
    def path(self) -> Path:
        """Its folder, relative to the store."""
        readable = re.sub(r"[^a-z0-9.]+", "-", self.slug.lower()).strip("-")[:60]
        return Path("artifacts") / self.kind / f"{readable}-{self.key[:20]}"


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
        content = (json.dumps(record, indent=2, sort_keys=True) + "\n").encode()
        write_folder(self.folder / address.path, {**files, DONE: content}, last=DONE)
        self.clear_failure(address)

    def fail(self, address: Address, failure: Failure) -> None:
        """Note that a step failed."""
        content = json.dumps({"schema": SCHEMA, **asdict(failure)}, indent=2) + "\n"
        write_file(self._failure_path(address.key), content.encode())

    def failure(self, address: Address) -> Failure | None:
        """Why a step failed when it was last tried; `None` where it did not."""
        record = _read_json(self._failure_path(address.key))
        if record is None or not isinstance(record.get("reason"), str):
            return None  # a damaged note: the step has no artifact, so it counts as not run
        if self.has(address):
            return None  # a note that could not be deleted when the step succeeded
        return Failure(record["reason"], str(record.get("traceback", "")))

    def clear_failure(self, address: Address) -> None:
        """Forget a failure; a note that stays says nothing once the artifact is there."""
        with contextlib.suppress(OSError):
            self._failure_path(address.key).unlink(missing_ok=True)

    def write_plan(self, name: str, plan: Mapping[str, Any]) -> None:
        """Note what a run was asked for."""
        record = {"schema": SCHEMA, **plan}
        content = json.dumps({**record, "sha256": _digest(record)}, indent=2, sort_keys=True) + "\n"
        write_file(self.folder / "plans" / f"{name}.json", content.encode())

    def plans(self) -> Iterator[dict[str, Any]]:
        """Every plan of this folder, in the order in which they were last asked for.

        Raises:
            StoreError: a damaged plan, or one of a newer hashbench.
        """
        plans = []
        for path in sorted((self.folder / "plans").glob("*.json")):
            plan = _read_json(path)
            damaged = StoreError(f"{path}: cannot be read; run the suite again to mend it")
            if plan is None:
                raise damaged
            if plan["schema"] > SCHEMA:
                raise StoreError(
                    f"{path}: written in format {plan['schema']}, this hashbench reads up to "
                    f"{SCHEMA}: update it"
                )
            # A plan says which result speaks for which cell, so it is checked as artifacts are.
            if plan.pop("sha256", "") not in ("", _digest(plan)):
                raise damaged
            plans.append(plan)
        yield from sorted(plans, key=lambda plan: str(plan.get("asked", "")))

    def sweep(self) -> None:
        """Delete what interrupted runs left half-written."""
        for kind in (self.folder / "artifacts").glob("*"):
            sweep(kind)
        for folder in ("failures", "plans"):
            sweep(self.folder / folder)

    def _failure_path(self, key: str) -> Path:
        return self.folder / "failures" / f"{key[:20]}.json"

    def _intact(self, address: Address) -> dict[str, Any] | None:
        folder = self.folder / address.path
        record = _read_json(folder / DONE)
        if record is None or record.get("key") != address.key or record["schema"] > SCHEMA:
            return None
        files = record.get("files")
        if not isinstance(files, dict):
            return None
        for name, digest in files.items():
            try:
                content = (folder / name).read_bytes()
            except (OSError, ValueError):  # ValueError: no name that a file can have
                return None
            if hashlib.sha256(content).hexdigest() != digest:
                return None
        return record


def _digest(record: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        record = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) and isinstance(record.get("schema"), int) else None
