"""Deletes what no plan needs: chosen first, so that people see what goes and why."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from hashbench.atomic import discard
from hashbench.results.artifacts import ARTIFACTS, FAILURES, PLANS, UNFINISHED, ArtifactKind
from hashbench.results.inventory import Item, Kind

_ORDER: Final = (
    Kind.PLAN,
    Kind.LEFT_OVER,
    Kind.FAILURE,
    Kind.UNFINISHED,
    ArtifactKind.GALLERY,
    ArtifactKind.IMAGES,
    ArtifactKind.SCORES,
    ArtifactKind.TALLY,
    ArtifactKind.PROBE,
    ArtifactKind.ADVERSARIAL,
    ArtifactKind.ATTACKER,
    ArtifactKind.CODES,
    ArtifactKind.CODES_PART,
    ArtifactKind.MODEL,
)
"""What is deleted first: a plan before what it alone needs, everything before what it is made from.
So whoever looks in between finds nothing that lacks its source, and no plan half-way gone."""

_DELETED: Final = (ARTIFACTS, FAILURES, PLANS, UNFINISHED)
"""The folders in which anything may be deleted."""


@dataclass(frozen=True)
class Rules:
    """What may go.

    Attributes:
        older_than: days that something must have lain there.
        keep_models: whether models and trained attackers stay in any case.
        damaged: places of damaged artifacts that go though plans need them; a run makes them anew.
    """

    older_than: float = 0.0
    keep_models: bool = False
    damaged: frozenset[Path] = frozenset()


@dataclass(frozen=True)
class Removal:
    """One thing that is to be deleted, and why."""

    item: Item
    why: str


def removals(
    items: Iterable[Item], rules: Rules, dropped: Collection[str] = ()
) -> tuple[Removal, ...]:
    """What is to be deleted, in the order in which it will be.

    Args:
        items: what lies there, by the needs of the plans that stay.
        rules: what may go.
        dropped: names of plans that are to be forgotten.
    """
    names = {f"{name}.json" for name in dropped}
    found = []
    for item in items:
        forgotten = item.kind == Kind.PLAN and item.path.name in names
        why = "it is to be forgotten" if forgotten else _why(item, rules)
        if why and (forgotten or not _stays(item, rules)):
            found.append(Removal(item, why))
    rank = {kind: place for place, kind in enumerate(map(str, _ORDER))}
    return tuple(sorted(found, key=lambda one: (rank.get(one.item.kind, 0), one.item.path)))


def _why(item: Item, rules: Rules) -> str:
    if item.path in rules.damaged and item.why is None:
        return "it is damaged"
    if item.why is None:
        return ""
    return f"{item.why}, and damaged" if item.damage else str(item.why)


def _stays(item: Item, rules: Rules) -> bool:
    models = (ArtifactKind.MODEL, ArtifactKind.ATTACKER)
    if rules.keep_models and item.kind in models and item.path not in rules.damaged:
        return True
    age = datetime.now(UTC) - item.written
    return bool(rules.older_than) and age < timedelta(days=rules.older_than)


def delete(folder: Path, chosen: Sequence[Removal]) -> Iterator[tuple[Removal, str]]:
    """Delete what was chosen, one after the other; for a folder in which nobody else works.

    Args:
        folder: of results.
        chosen: in the order of `removals`.

    Yields:
        Each, with why it could not be deleted, or nothing.
    """
    for one in chosen:
        path = folder / one.item.path
        if one.item.path.parts[0] not in _DELETED or ".." in one.item.path.parts:
            yield one, "it lies in no folder of a store"
            continue
        try:
            discard(path)
        except FileNotFoundError:
            yield one, ""
        except OSError as error:
            yield one, error.strerror or str(error)
        else:
            yield one, ""
    for name in (UNFINISHED, FAILURES):
        with contextlib.suppress(OSError):  # one that holds something stays
            (folder / name).rmdir()
