"""What lies in a folder of results: every item with its size, and why no plan needs it.

A folder may come from a stranger: no link is followed, and only records are read, each bounded.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from hashbench.errors import FileError, StoreError, UsageError
from hashbench.files import why_no_folder
from hashbench.results.artifacts import (
    ARTIFACTS,
    CLAIMS,
    FAILURES,
    KEY_DIGITS,
    MATCH_PLANS,
    PART_OF,
    PARTS,
    PLANS,
    UNFINISHED,
    ArtifactKind,
)
from hashbench.results.finished import Artifact, artifact_in
from hashbench.results.needs import Needs
from hashbench.results.store import Store
from hashbench.results.sums import NewerError
from hashbench.results.unfinished import SUFFIX

_FOLDERS: Final = (ARTIFACTS, FAILURES, PLANS, MATCH_PLANS, UNFINISHED, CLAIMS)
"""The folders of a store."""

_ITSELF: Final = re.compile(r"\.lock.*")
"""Files that the store keeps for itself."""

_LEFT: Final = re.compile(r"\..*\.(tmp|old)")
"""What an interrupted writer leaves; see `hashbench.atomic.sweep`."""

_ARTIFACT: Final = re.compile(rf"[a-z0-9.-]*-[0-9a-f]{{{KEY_DIGITS}}}")
_DIGITS: Final = re.compile(rf"[0-9a-f]{{{KEY_DIGITS}}}")


class Kind(StrEnum):
    """What an item is, besides artifacts, which have kinds of their own."""

    FAILURE = "failure"
    PLAN = "plan"
    UNFINISHED = "unfinished"
    CLAIM = "claim"
    LEFT_OVER = "left-over"
    OTHER = "other"


class Why(StrEnum):
    """Why no plan needs an item."""

    NO_PLAN = "no plan names it"
    EARLIER = "of an earlier version of its model or attack"
    DONE = "its step was done since"
    JOINED = "what it is a part of is done"
    HALF_WRITTEN = "left half-written by an interrupted run"


@dataclass(frozen=True)
class Item:
    """One thing in a folder of results.

    Attributes:
        path: relative to the folder.
        kind: an `ArtifactKind`, or a `Kind`.
        bytes: of all files in it; links count nothing.
        written: when.
        label: what made it, in words of its record; may be empty.
        needed_by: names of the plans that need it.
        why: why none does; `None` where one does, and of what is nobody's business.
        damage: what is wrong with its record, in a clause; may be empty.
    """

    path: Path
    kind: str
    bytes: int
    written: datetime
    label: str = ""
    needed_by: frozenset[str] = frozenset()
    why: Why | None = None
    damage: str = ""

    @property
    def is_artifact(self) -> bool:
        """Whether it is one; else a note, a plan, or what somebody else put there."""
        return self.path.parts[0] == ARTIFACTS and self.kind not in (Kind.OTHER, Kind.LEFT_OVER)


def refuse_no_store(folder: Path) -> None:
    """Make sure that a folder is one of results, and that all of it lies inside of it.

    Raises:
        UsageError: it is no folder, or nothing in it is of a run.
        StoreError: a part of it is a link.
    """
    if not folder.is_dir():
        what = why_no_folder(folder)
        raise UsageError(f"folder {folder}: {what}; 'hashbench run' or 'hashbench match' makes one")
    if not any((folder / name).is_dir() for name in (ARTIFACTS, PLANS)):
        raise UsageError(
            f"folder {folder}: it is no folder of results: it holds neither '{PLANS}' nor "
            f"'{ARTIFACTS}'; name the one that 'hashbench run --out' wrote"
        )
    Store(folder).refuse_links()


def take_stock(store: Store, needs: Needs) -> Iterator[Item]:
    """Everything in a folder of results, kind by kind, each by its name.

    Args:
        store: the folder, once `refuse_no_store` has passed.
        needs: of its plans.
    """
    known = _Known(store, needs, needs.by_digits())
    for folder in _entries(store.folder / ARTIFACTS):
        if folder.is_dir(follow_symlinks=False):
            for entry in _entries(Path(folder.path)):
                yield known.artifact(entry, folder.name)
        else:
            yield known.other(folder)
    for name, item in (
        (FAILURES, known.failure),
        (UNFINISHED, known.unfinished),
        (PLANS, known.plan),
        (MATCH_PLANS, known.plan),
        (CLAIMS, known.claim),
    ):
        yield from _of_folder(store.folder / name, item, known)
    for entry in _entries(store.folder):
        if entry.name not in _FOLDERS and not _ITSELF.fullmatch(entry.name):
            yield known.other(entry)


def _of_folder(
    folder: Path, item: Callable[[os.DirEntry[str]], Item], known: _Known
) -> Iterator[Item]:
    for entry in _entries(folder):
        if _LEFT.fullmatch(entry.name) and not entry.is_symlink():
            yield known.left_over(entry)
        else:
            yield item(entry)


@dataclass(frozen=True)
class _Known:
    """Makes items of what lies in a folder.

    Attributes:
        store: the folder.
        needs: of its plans.
        digits: the places that are needed, by the first digits of their keys.
    """

    store: Store
    needs: Needs
    digits: Mapping[str, list[Path]]

    def artifact(self, entry: os.DirEntry[str], kind: str) -> Item:
        if entry.is_symlink():
            return self.other(entry)
        if _LEFT.fullmatch(entry.name):
            return self.left_over(entry)
        if not _ARTIFACT.fullmatch(entry.name) or not entry.is_dir(follow_symlinks=False):
            return self.other(entry)
        path = Path(entry.path).relative_to(self.store.folder)
        needed = self.needs.paths.get(path, frozenset())
        why = None if needed else Why.NO_PLAN
        if path in self.needs.outdated:
            why = Why.EARLIER
        size, when = _measured(entry)
        found: Artifact | None = None
        damage = ""
        try:
            found = artifact_in(self.store.folder / path, kind)
            damage = "" if found is not None else "it is gone"
        except NewerError as error:
            # Who wrote it knows whether it is needed.
            why, damage = None, str(error)
        except FileError as error:
            damage = str(error)
        label = ""
        if found is not None:
            label = str(found.record.get("label", ""))
            when = _time(found.record.get("written", ""), when)
            if kind in PARTS:
                needed, why = self._of_whole(_digits_of_whole(found.record), Why.JOINED)
        return Item(path, kind, size, when, label, needed, why, damage)

    def failure(self, entry: os.DirEntry[str]) -> Item:
        digits = entry.name.removesuffix(".json")
        if not self._is_note(entry, digits, ".json"):
            return self.other(entry)
        # Of images a note may stand beside those that were kept before.
        return self._note(entry, Kind.FAILURE, digits, but=ArtifactKind.IMAGES)

    def unfinished(self, entry: os.DirEntry[str]) -> Item:
        digits = entry.name.removesuffix(SUFFIX)
        if not self._is_note(entry, digits, SUFFIX):
            return self.other(entry)
        return self._note(entry, Kind.UNFINISHED, digits)

    def plan(self, entry: os.DirEntry[str]) -> Item:
        if not entry.name.endswith(".json") or not entry.is_file(follow_symlinks=False):
            return self.other(entry)
        return self._item(entry, Kind.PLAN)

    def claim(self, entry: os.DirEntry[str]) -> Item:
        return self.other(entry) if entry.is_symlink() else self._item(entry, Kind.CLAIM)

    def left_over(self, entry: os.DirEntry[str]) -> Item:
        return self._item(entry, Kind.LEFT_OVER, Why.HALF_WRITTEN)

    def other(self, entry: os.DirEntry[str]) -> Item:
        return self._item(entry, Kind.OTHER)

    def _is_note(self, entry: os.DirEntry[str], digits: str, suffix: str) -> bool:
        whole = _DIGITS.fullmatch(digits) is not None and entry.name == digits + suffix
        return whole and entry.is_file(follow_symlinks=False)

    def _note(self, entry: os.DirEntry[str], kind: Kind, digits: str, but: str = "") -> Item:
        """What is noted of a step that is not done."""
        needed, why = self._of_whole(digits, Why.DONE, but)
        size, when = _measured(entry)
        return Item(
            Path(entry.path).relative_to(self.store.folder), kind, size, when, "", needed, why
        )

    def _of_whole(self, digits: str, done: Why, but: str = "") -> tuple[frozenset[str], Why | None]:
        """Which plans need what is left of a step until it is done; and why none does.

        Args:
            digits: the first ones of the step's key; no plan names an empty text.
            done: the reason, where it is done.
            but: a kind of artifact that may be there before.
        """
        places = self.digits.get(digits, [])
        needed = frozenset(name for path in places for name in self.needs.paths[path])
        why = None
        if not needed:
            earlier = bool(digits) and any(
                path.name.endswith(digits) for path in self.needs.outdated
            )
            why = Why.EARLIER if earlier else Why.NO_PLAN
        elif any(path.parts[1] != but and self._is_there(path) for path in places):
            why, needed = done, frozenset()
        return needed, why

    def _is_there(self, path: Path) -> bool:
        with contextlib.suppress(FileError):
            return artifact_in(self.store.folder / path, path.parts[1]) is not None
        return False

    def _item(self, entry: os.DirEntry[str], kind: Kind, why: Why | None = None) -> Item:
        size, when = _measured(entry)
        return Item(Path(entry.path).relative_to(self.store.folder), kind, size, when, why=why)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """What lies in a folder, by name; nothing where there is none.

    Raises:
        StoreError: it cannot be read.
    """
    try:
        with os.scandir(folder) as found:
            return sorted(found, key=lambda entry: entry.name)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise StoreError(f"{folder}: cannot be read ({error.strerror})") from None


def _digits_of_whole(record: Mapping[str, Any]) -> str:
    """The first digits of the key of what a part is of; empty where its record does not say."""
    made = record.get("made")
    key = made.get(PART_OF) if isinstance(made, Mapping) else None
    return key[:KEY_DIGITS] if isinstance(key, str) else ""


def _measured(entry: os.DirEntry[str]) -> tuple[int, datetime]:
    """Bytes of all regular files in an entry, and when the entry was last written to."""
    try:
        status = entry.stat(follow_symlinks=False)
    except OSError:
        return 0, datetime.fromtimestamp(0, UTC)
    when = datetime.fromtimestamp(max(status.st_mtime, 0), UTC)
    if not stat.S_ISDIR(status.st_mode):
        return status.st_size if stat.S_ISREG(status.st_mode) else 0, when
    return sum(_sizes(Path(entry.path))), when


def _sizes(folder: Path) -> Iterator[int]:
    waiting = [folder]
    while waiting:
        with contextlib.suppress(OSError, StoreError):
            for entry in _entries(waiting.pop()):
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(Path(entry.path))
                elif entry.is_file(follow_symlinks=False):
                    yield entry.stat(follow_symlinks=False).st_size


def _time(text: str, default: datetime) -> datetime:
    """A time as records tell it; what is no time is the default."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return default
    return found if found.tzinfo is not None else default


def total(items: Iterable[Item]) -> int:
    """Bytes of some items."""
    return sum(item.bytes for item in items)
