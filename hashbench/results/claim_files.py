"""The files of claims: `claims/<step>.<number>.json` in a store.

A claim says which process makes a step just now. It is no result: no report reads it, and the
folder may be deleted while nothing runs. Whether a claim holds is decided in `claims`.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from hashbench.atomic import remove, sweep
from hashbench.characters import shortened
from hashbench.errors import FileError, WriteError
from hashbench.files import opened, parsed_json
from hashbench.results.artifacts import CLAIMS, KEY_DIGITS
from hashbench.results.holders import Holder
from hashbench.results.sums import SCHEMA

LEAST_LEASE: Final = 0.1
MOST_LEASE: Final = 3_600.0
"""Seconds. What a claim of a stranger says is brought into these."""

DEFAULT_LEASE: Final = 60.0

_MOST_BYTES: Final = 2**14
_MOST_TEXT: Final = 300

_NAME: Final = re.compile(r"([a-z0-9]{1,64})\.([1-9][0-9]{0,8})\.json")

_NO_LINKS: Final = frozenset(
    getattr(errno, name)
    for name in ("EPERM", "EACCES", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EMLINK", "EXDEV", "EINVAL")
    if hasattr(errno, name)
)
"""Error numbers of a file system on which a file has one name alone."""

_MOST_TRIES: Final = 5


@dataclass(frozen=True)
class Claim:
    """One claim, as it is found.

    Attributes:
        name: of the step: the first digits of its key.
        number: of the claim on it.
        mark: changes whenever the claim is renewed.
        renewed: when it was last renewed, in seconds since 1970, by the clock of the file system.
        run: who holds it; every run has another one. Empty where the file is damaged.
        holder: its process.
        label: what is made.
        since: when it was taken, ISO 8601.
        lease: for how many seconds it holds if it is not renewed.
        part_of: the name of the step that this one is a part of; empty where it is none.
    """

    name: str
    number: int
    mark: tuple[str, int] = ("", 0)
    renewed: float = 0.0
    run: str = ""
    holder: Holder = field(default_factory=Holder)
    label: str = ""
    since: str = ""
    lease: float = DEFAULT_LEASE
    part_of: str = ""

    def content(self) -> bytes:
        """Its file."""
        plain = {
            "schema": SCHEMA,
            "run": self.run,
            "label": shortened(self.label, _MOST_TEXT).encode("utf-8", "replace").decode(),
            "host": self.holder.host,
            "machine": self.holder.machine,
            "pid": self.holder.pid,
            "began": self.holder.began,
            "since": self.since,
            "lease": self.lease,
            **({"part_of": self.part_of} if self.part_of else {}),
        }
        return (json.dumps(plain) + "\n").encode()


def name_of(key: str) -> str:
    """What the claims on a step are named by."""
    return key[:KEY_DIGITS]


class ClaimFiles:
    """The claims of one store, one call a look at the disk."""

    def __init__(self, store: Path) -> None:
        """Use the folder of a store; it is made when a claim is."""
        self._folder = store / CLAIMS

    def all(self) -> list[tuple[str, int]]:
        """Name and number of every claim."""
        try:
            found = [_NAME.fullmatch(path.name) for path in self._folder.iterdir()]
        except OSError:  # no claim was ever made, or nothing can be read: making one says so
            return []
        return sorted((one[1], int(one[2])) for one in found if one is not None)

    def numbers(self, name: str) -> list[int]:
        """Of the claims on one step."""
        return [number for other, number in self.all() if other == name]

    def look(self, name: str, number: int) -> Claim | None:
        """A claim, as it is now; `None` where it is gone. A damaged one says of nobody."""
        path = self._path(name, number)
        try:
            # Opened, not asked for its state alone: a network file system then asks its server.
            with opened(path, _MOST_BYTES, links=False) as file:
                status, content = os.fstat(file.fileno()), file.read(_MOST_BYTES)
        except FileNotFoundError:
            return None
        except (OSError, FileError):
            return self._damaged(name, number)
        mark = (hashlib.sha256(content).hexdigest(), status.st_mtime_ns)
        claim = Claim(name, number, mark, status.st_mtime)
        with contextlib.suppress(FileError):
            claim = _read(claim, parsed_json(content))
        return claim

    def make(self, claim: Claim) -> bool:
        """Write a claim, whole, unless there is one of its number; whether there was none.

        Raises:
            WriteError: it cannot be written.
        """
        path = self._path(claim.name, claim.number)
        for _ in range(_MOST_TRIES):
            try:
                self._folder.mkdir(parents=True, exist_ok=True)
                return _new(path, claim.content())
            except FileNotFoundError:  # a run that ended took the empty folder away
                continue
            except OSError as error:
                raise WriteError(path, error) from error
        raise WriteError(path, OSError(errno.ENOENT, os.strerror(errno.ENOENT)))

    def renew(self, claim: Claim) -> bool:
        """Show that a claim is held; false where it is not there any more, or another run's.

        Raises:
            OSError: that cannot be shown just now.
        """
        try:
            with opened(self._path(claim.name, claim.number), _MOST_BYTES, links=False) as file:
                if file.read(_MOST_BYTES) != claim.content():
                    return False
                os.utime(file.fileno())
        except (FileNotFoundError, FileError):
            return False
        return True

    def delete(self, claim: Claim) -> None:
        """Take a claim away, unless another run has made one of its number since."""
        found = self.look(claim.name, claim.number)
        if found is not None and found.run == claim.run:
            remove(self._path(claim.name, claim.number))

    def sweep(self) -> None:
        """Delete what interrupted runs left half-written; for a folder that nobody writes to."""
        sweep(self._folder)

    def tidy(self) -> None:
        """Delete the folder where it is empty."""
        with contextlib.suppress(OSError):
            self._folder.rmdir()

    def _path(self, name: str, number: int) -> Path:
        return self._folder / f"{name}.{number}.json"

    def _damaged(self, name: str, number: int) -> Claim | None:
        """Something that cannot be read, a folder, say: it holds until it was watched long."""
        try:
            status = os.lstat(self._path(name, number))
        except OSError:
            return None
        return Claim(name, number, (str(status.st_ino), status.st_mtime_ns), status.st_mtime)


def _new(path: Path, content: bytes) -> bool:
    """Make a file whole, unless there is one; whether there was none."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("xb") as file:
            file.write(content)
        try:
            os.link(temporary, path)
        except FileExistsError:
            # A server whose answer was lost is asked twice, and then finds the first link.
            return temporary.stat().st_nlink > 1
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            return _new_at_once(path, content)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
    return True


def _new_at_once(path: Path, content: bytes) -> bool:
    """The same without links; a reader may see it empty, and then takes it for held."""
    try:
        with path.open("xb") as file:
            file.write(content)
    except FileExistsError:
        return False
    return True


def _read(bare: Claim, plain: Any) -> Claim:
    """What the file of a claim says; what is not of its kind is passed over."""
    if not isinstance(plain, dict):
        return bare

    def text(key: str) -> str:
        value = plain.get(key)
        return shortened(value, _MOST_TEXT) if isinstance(value, str) else ""

    pid, lease = plain.get("pid"), plain.get("lease")
    holder = Holder(text("host"), text("machine"), pid if type(pid) is int else 0, text("began"))
    seconds = DEFAULT_LEASE
    if isinstance(lease, int | float) and lease >= 0:  # which no NaN is
        seconds = float(min(lease, MOST_LEASE))
    return Claim(
        bare.name,
        bare.number,
        bare.mark,
        bare.renewed,
        text("run"),
        holder,
        text("label"),
        text("since"),
        max(seconds, LEAST_LEASE),
        text("part_of"),
    )


def each(files: ClaimFiles) -> Iterator[Claim]:
    """Every claim of a store that is there now."""
    for name, number in files.all():
        claim = files.look(name, number)
        if claim is not None:
            yield claim
