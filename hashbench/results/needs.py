"""What the plans of a folder need of it: the places of artifacts, and which plans ask for each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from hashbench.data.protocol import Protocol
from hashbench.errors import FileError, StoreError
from hashbench.files import parsed_json
from hashbench.results.address import Address
from hashbench.results.artifacts import KEY_DIGITS, ArtifactKind
from hashbench.results.cell import Cell
from hashbench.results.covering import MAX_PLAN_VALUES, plan_bytes
from hashbench.results.kept_gallery import address_of_gallery
from hashbench.results.kept_images import address_of_images
from hashbench.results.matches.plans import named_match_plans
from hashbench.results.planned import StoredCell, StoredPlan, stored_plan
from hashbench.results.store import Store
from hashbench.results.sums import NewerError, Summed, checked_record
from hashbench.results.versions import Latest

_OF_MATCHES: Final = "matches"
"""What stands for the name of a suite, of a plan of `hashbench match`."""

SHOWN_DIGITS: Final = 12
"""How many digits of a plan's name people are shown."""


@dataclass(frozen=True)
class PlanNote:
    """One plan, as people are told of it.

    Attributes:
        name: of its file.
        suite: the name of its suite; may be empty.
        asked: when, ISO 8601; may be empty.
        cells: how many it asks for.
        outdated: how many of them a later plan asks for with another version of the model or the
            attack: no report shows what came of these.
    """

    name: str
    suite: str
    asked: str
    cells: int
    outdated: int


@dataclass(frozen=True)
class Needs:
    """What plans need.

    Attributes:
        plans: those that could be read, the one that was last asked for at the end.
        paths: by the place of an artifact in the store, the names of the plans that need it.
        outdated: places that plans name for cells of earlier versions alone.
        scores: by place, the scores that are needed, each with a cell that they are of and its
            protocol.
        troubles: plans that cannot be read, a sentence each: what they need is not known.
    """

    plans: tuple[PlanNote, ...] = ()
    paths: Mapping[Path, frozenset[str]] = field(default_factory=dict)
    outdated: frozenset[Path] = frozenset()
    scores: Mapping[Path, tuple[Address, Cell, Protocol]] = field(default_factory=dict)
    troubles: tuple[str, ...] = ()

    def by_digits(self) -> dict[str, list[Path]]:
        """The places that are needed, by the first digits of their keys."""
        found: dict[str, list[Path]] = {}
        for path in self.paths:
            found.setdefault(path.name[-KEY_DIGITS:], []).append(path)
        return found


def needs_of(store: Store, dropped: Sequence[str] = ()) -> Needs:
    """What the plans of a folder need.

    A cell is needed unless it is of an earlier version of its model or its attack than the plan
    that was last asked for names. Such cells count as not run in every report, and no run of today
    can use what was made for them. Whatever else differs (the batch of an attack, say), every plan
    keeps its own, so that asking for it again makes nothing.

    Args:
        store: the folder.
        dropped: names of plans that count as not there.

    Raises:
        StoreError: a plan is of a newer hashbench.
    """
    troubles: list[str] = []
    plans: list[tuple[str, StoredPlan]] = []
    for name in store.plan_names():
        if name in dropped:
            continue
        try:
            plans.append((name, stored_plan(store, name)))
        except StoreError as error:
            if _is_newer(store.plan_path(name)):
                raise
            troubles.append(str(error))
    plans.sort(key=lambda pair: pair[1].place)
    latest = Latest(plan for _, plan in plans)
    paths: dict[Path, set[str]] = {}
    earlier: set[Path] = set()
    scores: dict[Path, tuple[Address, Cell, Protocol]] = {}
    notes = []
    places: dict[Address, Path] = {}
    for name, plan in plans:
        outdated = 0
        for planned in plan.cells:
            cell_places = {
                places.setdefault(address, address.path) for address in _addresses(planned)
            }
            if latest.outdated(planned):
                outdated += 1
                earlier |= cell_places
                continue
            for path in cell_places:
                paths.setdefault(path, set()).add(name)
            protocol = plan.protocols[planned.cell.protocol]
            scores[places[planned.scores]] = (planned.scores, planned.cell, protocol)
        suite = str(plan.suite.get("name", ""))
        notes.append(PlanNote(name, suite, plan.asked, len(plan.cells), outdated))
    for name, matches in named_match_plans(store):
        if name in dropped:
            continue
        for address in (one for planned in matches.cells for one in planned.kept):
            paths.setdefault(address.path, set()).add(name)
        notes.append(PlanNote(name, _OF_MATCHES, matches.asked, len(matches.cells), 0))
    return Needs(
        plans=tuple(notes),
        paths={path: frozenset(names) for path, names in paths.items()},
        outdated=frozenset(earlier - paths.keys()),
        scores=scores,
        troubles=tuple(troubles),
    )


def plan_named(store: Store, text: str) -> str:
    """The plan whose name begins so.

    Raises:
        StoreError: there is none, or several.
    """
    found = [name for name in store.plan_names() if text and name.startswith(text)]
    if len(found) == 1:
        return found[0]
    what = f"{len(found)} plans begin so" if found else "there is no such plan"
    known = ", ".join(name[:SHOWN_DIGITS] for name in (found or store.plan_names())[:5])
    raise StoreError(
        f"folder {store.folder}: plan '{text}': {what}; 'hashbench store ls' lists them"
        + (f" ({known})" if known else "")
    )


def together(needs: Iterable[Needs]) -> Needs:
    """What is needed by any of some folders; the first one's plans and scores are told."""
    first, *others = needs
    paths = dict(first.paths)
    for other in others:
        for path, names in other.paths.items():
            paths[path] = paths.get(path, frozenset()) | names
    troubles = [sentence for one in (first, *others) for sentence in one.troubles]
    outdated = first.outdated - paths.keys()
    return Needs(first.plans, paths, outdated, first.scores, tuple(troubles))


def _addresses(planned: StoredCell) -> Iterator[Address]:
    """All that a cell is made from, and what is kept beside it."""
    yield planned.scores
    if planned.model is not None:
        yield planned.model
    for step in planned.steps:
        yield step
        if step.kind == ArtifactKind.ADVERSARIAL:
            yield address_of_images(step)
            yield address_of_gallery(step)


def _is_newer(path: Path) -> bool:
    try:
        checked_record(parsed_json(plan_bytes(path), values=MAX_PLAN_VALUES), Summed.PLAN)
    except NewerError:
        return True
    except (OSError, FileError):
        return False
    return False
