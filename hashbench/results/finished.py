"""A finished artifact: the files of its folder, and `done.json`, its record, which came last."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from hashbench.characters import shortened
from hashbench.errors import FileError
from hashbench.files import parsed_json, read_bytes, sha256_of_file
from hashbench.results.address import SHA256
from hashbench.results.artifacts import KEY_DIGITS, MAX_BYTES, MAX_FILE_BYTES
from hashbench.results.sums import Summed, checked_record

DONE: Final = "done.json"

MAX_RECORD_BYTES: Final = 2**22
"""The largest record, or note of a failure."""

MAX_FILES: Final = 16
"""How many files an artifact may have."""

MAX_SECONDS: Final = 1e9
"""Of a step: 30 years."""

_PLAIN: Final = re.compile(r"[a-z0-9_][a-z0-9_.-]{0,60}")
"""Names of files that lie in an artifact's own folder."""


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
            raise FileError(f"{name}: {cause_of(error)}") from None
        self._compare(name, hashlib.sha256(content).hexdigest())
        return content

    def check(self, name: str, limit: int = MAX_BYTES) -> None:
        """Compare a file with its sum; raises as `read`."""
        try:
            found = sha256_of_file(self.folder / name, limit, links=False)
        except (OSError, FileError) as error:
            raise FileError(f"{name}: {cause_of(error)}") from None
        self._compare(name, found)

    def _compare(self, name: str, found: str) -> None:
        if self.record["files"].get(name) != found:
            raise FileError(f"{name}: its content is not what {DONE} says it was")


def artifact_in(folder: Path, kind: str, key: str = "") -> Artifact | None:
    """The artifact that lies in a folder.

    Args:
        folder: of it.
        kind: of artifact.
        key: of what makes it; by default the one that its record names, if the folder has its name.

    Returns:
        It, without a look at its files; `None` where there is none.

    Raises:
        FileError: there is one, but its record is damaged, or of a newer hashbench.
    """
    if folder.is_symlink():
        raise FileError("its folder is a link")
    try:
        content = read_bytes(folder / DONE, MAX_RECORD_BYTES, links=False)
    except FileNotFoundError:
        if folder.exists():
            raise FileError(f"{DONE}: it is missing") from None
        return None
    except (OSError, FileError) as error:
        raise FileError(f"{DONE}: {cause_of(error)}") from None
    try:
        record = checked_record(parsed_json(content), Summed.ARTIFACT)
        own = str(record.get("key"))
        if not key and SHA256.fullmatch(own) and folder.name.endswith(f"-{own[:KEY_DIGITS]}"):
            key = own
        return Artifact(folder, _checked(record, kind, key))
    except FileError as error:
        raise type(error)(f"{DONE}: {error}") from None


def _checked(record: dict[str, Any], kind: str, key: str) -> dict[str, Any]:
    """The record of an artifact, once it holds what every one of them holds."""
    if record.get("key") != key or record.get("kind") != kind:
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
    if not isinstance(record.get("written", ""), str):
        raise FileError("its time of writing is none")
    return record


def cause_of(error: OSError | FileError) -> str:
    """Why a file could not be read, in a clause."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
