"""Reads every file of a folder of results and compares it with its sum."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hashbench.characters import shown
from hashbench.errors import FileError
from hashbench.progress import Progress
from hashbench.results.artifacts import (
    GALLERY,
    MAX_BYTES,
    MAX_FILE_BYTES,
    PLANS,
    PROBE,
    SCORES,
    ArtifactKind,
)
from hashbench.results.covering import file_sum
from hashbench.results.finished import DONE, Artifact, artifact_in
from hashbench.results.inventory import Item, Kind
from hashbench.results.needs import Needs
from hashbench.results.scored import measured
from hashbench.results.store import Store
from hashbench.results.sums import NewerError

_SMALL: Final = (SCORES, PROBE, GALLERY)
"""Files whose readers take no more than `MAX_FILE_BYTES` either."""


@dataclass(frozen=True)
class Damage:
    """One thing that is not what it was.

    Attributes:
        path: of the file, relative to the folder.
        cause: what is wrong with it, in a clause.
        todo: what to do, in a clause.
    """

    path: Path
    cause: str
    todo: str

    def told(self, folder: Path) -> str:
        """The sentence for people."""
        return shown(f"{folder / self.path}: {self.cause}; {self.todo}")


def damages(
    store: Store, needs: Needs, items: Sequence[Item], progress: Progress
) -> Iterator[Damage]:
    """Everything that is damaged, artifact by artifact.

    Args:
        store: the folder.
        needs: of its plans.
        items: what lies there.
        progress: told in bytes.
    """
    artifacts = [item for item in items if item.is_artifact]
    whole, done = sum(item.bytes for item in artifacts), 0
    progress(0, whole)
    for item in artifacts:
        for name, error in _errors(store, needs, item):
            yield Damage(item.path / name if name else item.path, str(error), _todo(item, error))
        done += item.bytes
        progress(done, whole)
    yield from _twins(store, needs)
    for item in items:
        if item.kind == Kind.OTHER and item.path.parts[0] != item.path.name:
            cause = "it is no part of a folder of results, and no run reads it"
            yield Damage(item.path, cause, "take it away, unless you put it there")


def _errors(store: Store, needs: Needs, item: Item) -> Iterator[tuple[str, FileError]]:
    """What is wrong with an artifact: the file, or nothing where it is the folder; and why."""
    try:
        artifact = artifact_in(store.folder / item.path, item.kind)
    except FileError as error:
        yield _named(error)
        return
    if artifact is None:
        return  # somebody deleted it meanwhile
    broken = False
    for name in artifact.record["files"]:
        try:
            artifact.check(name, MAX_FILE_BYTES if name in _SMALL else MAX_BYTES)
        except FileError as error:
            broken = True
            yield _named(error)
    if not broken and item.path in needs.scores:
        address, cell, protocol = needs.scores[item.path]
        try:
            measured(store, address, protocol, certificate=cell.is_certificate)
        except FileError as error:
            yield _named(error)
    yield from ((name, FileError("its record does not name it")) for name in _strangers(artifact))


def _twins(store: Store, needs: Needs) -> Iterator[Damage]:
    """Plans that hold what another one holds: one of the two was written over."""
    first: dict[str, str] = {}
    for name in sorted(note.name for note in needs.plans):
        other = first.setdefault(file_sum(store.plan_path(name)), name)
        if other != name:
            cause = f"it holds the same as {other}.json, so one of the two was written over"
            yield Damage(Path(PLANS) / f"{name}.json", cause, "running both suites again mends it")


def _strangers(artifact: Artifact) -> list[str]:
    """Files of an artifact's folder that its record does not name."""
    try:
        there = {path.name for path in artifact.folder.iterdir()}
    except OSError:
        return []
    return sorted(there - {DONE, *artifact.record["files"]})


def _named(error: FileError) -> tuple[str, FileError]:
    """An error of an artifact that begins with the name of a file, apart."""
    name, colon, cause = str(error).partition(": ")
    if not colon or "/" in name or " " in name:
        return "", error
    return name, type(error)(cause)


def _todo(item: Item, error: FileError) -> str:
    if isinstance(error, NewerError):
        return "what it holds is of no use here"
    if not item.needed_by:
        return "no plan needs it: 'hashbench store gc' deletes it"
    if item.kind in (ArtifactKind.IMAGES, ArtifactKind.GALLERY):
        return "'hashbench store gc --damaged' deletes it; no result depends on it"
    if item.kind == ArtifactKind.SCORES:
        return "running the suite again makes it anew"
    return "a run that needs it makes it anew"
