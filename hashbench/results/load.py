"""Reads stores into `Results`: which plan speaks for which cell, and what came of it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from hashbench.errors import ResultsWarning, StoreError, UsageError
from hashbench.results.artifacts import ARTIFACTS, ArtifactKind
from hashbench.results.asked import Asked, CellsOfRun
from hashbench.results.cell import Cell, CellResult
from hashbench.results.covering import CoveredPlan
from hashbench.results.galleries import Galleries
from hashbench.results.planned import (
    FolderPlans,
    StoredPlan,
    readable_plans,
    stored_plan,
    unwritten_plan,
)
from hashbench.results.provenance import Conflict
from hashbench.results.reading import Reader, Rivals
from hashbench.results.results import Results
from hashbench.results.scored import Measured
from hashbench.results.store import Store
from hashbench.results.troubles import Troubles
from hashbench.results.versions import Latest

NOTHING: Final[Mapping[str, Measured]] = {}
"""Of scores that were read already."""


MOST_TOLD: Final = 3
"""How many damaged plans an error names."""


def load_results(*folders: str | Path) -> Results:
    """Read the results of one or more stores.

    The same cell in several plans counts once: the latest plan speaks for it, for the model of its
    row (under every seed) and for the attack of its column; a cell that was made with an earlier
    version of either (a plugin was edited, say) counts as not run. An artifact that one folder
    lacks is looked for in the others.

    Which plan is the latest is said by a number that counts the runs of a folder, never by a clock:
    what was asked for last in a folder speaks for it. Folders that are read together, or were
    copied over one another, are ordered by the same numbers; none of them knows which run came
    later, so where two have one number the time of asking decides. Whichever wins, the versions of
    the other are told as such, and never stand beside it. The next run has the largest number.

    Where folders say different values of a cell, whether they were made alike or not, that is one
    of `Results.conflicts`; nothing is averaged. Each folder is spoken for by its own latest plan.

    What cannot be read (a damaged plan, a folder without results beside others, a result that was
    edited by hand) is one of `Results.troubles`, and warns with `hashbench.ResultsWarning`;
    the rest is read.

    Raises:
        UsageError: no folder is named, or none of them holds results.
        StoreError: there are plans, and none of them can be read.
    """
    results = read_folders(*folders)
    for sentence in results.troubles:
        warnings.warn(sentence, ResultsWarning, stacklevel=2)
    return results


def read_folders(*folders: str | Path) -> Results:
    """As `load_results`, without warnings: for callers that tell the troubles themselves."""
    if not folders:
        raise UsageError("name at least one folder of results")
    troubles, refused = Troubles(), list[UsageError]()
    read: list[_Folder] = []
    for store in _each_once(folders):
        try:
            plans = plans_of(store)
        except UsageError as error:
            refused.append(error)
            plans = FolderPlans(())
            # Of two machines that share a grid, one has the plan and the other some of the results.
            if not _has_scores(store):
                troubles.note(str(error))
        for sentence in plans.troubles:
            troubles.note(sentence)
        if store.folder.is_dir():
            read.append(_Folder(store, plans))
    if not any(folder.plans.plans for folder in read):
        # A plan that is there says more than a folder in which none is.
        damaged = [sentence for folder in read for sentence in folder.plans.troubles]
        raise StoreError("; ".join(damaged[:MOST_TOLD])) if damaged else refused[0]
    return _results(read, troubles=troubles)


def load_plan(folder: Path, name: str, known: Mapping[str, Measured] = NOTHING) -> Results:
    """Read the results of one plan of a store, the one that was last asked for.

    It speaks for its own cells, so no other plan is read: none of them can hide what came of it.

    Args:
        folder: of the store.
        name: of the plan.
        known: by the keys of scores, what was read of them already.

    Raises:
        StoreError: the plan cannot be read.
    """
    store = Store(folder)
    return _results([_Folder(store, FolderPlans((stored_plan(store, name),)))], known)


def read_plan(
    store: Store, record: Mapping[str, Any], known: Mapping[str, Measured] = NOTHING
) -> Results:
    """Read the results of a plan that is not in its store, since nothing can be written there.

    Args:
        store: where the results lie.
        record: the plan as it would be stored.
        known: by the keys of scores, what was read of them already.
    """
    return _results([_Folder(store, FolderPlans((unwritten_plan(record),)))], known)


@dataclass(frozen=True)
class _Folder:
    """A store, and the plans of it that can be read."""

    store: Store
    plans: FolderPlans


def _each_once(folders: Iterable[str | Path]) -> list[Store]:
    """The stores of some folders; one that is named twice counts once."""
    found: dict[Path, Store] = {}
    for folder in map(Path, folders):
        found.setdefault(folder.resolve(), Store(folder))
    return list(found.values())


def plans_of(store: Store) -> FolderPlans:
    """The plans of a folder that can be read.

    Raises:
        UsageError: there is no folder, or no plan in it.
    """
    folder = store.folder
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "no such folder"
        raise UsageError(f"folder {folder}: {what}; 'hashbench run' or 'hashbench match' makes one")
    plans = readable_plans(store)
    if plans.plans or plans.troubles:
        return plans
    raise UsageError(
        f"folder {folder}: no results in it; 'hashbench run --out {folder}' puts some there"
    )


def _has_scores(store: Store) -> bool:
    return (store.folder / ARTIFACTS / ArtifactKind.SCORES).is_dir()


def _results(
    folders: Sequence[_Folder],
    known: Mapping[str, Measured] = NOTHING,
    troubles: Troubles | None = None,
) -> Results:
    """What came of the cells of some plans, the latest one last."""
    told = Troubles() if troubles is None else troubles
    plans = sorted(
        (plan for folder in folders for plan in folder.plans.plans), key=lambda plan: plan.place
    )
    protocols = {key: value for plan in plans for key, value in plan.protocols.items()}
    trainings = {key: value for plan in plans for key, value in plan.trainings.items()}
    latest = Latest(plans)
    stores = tuple((folder.store, folder.store.failed_keys()) for folder in folders)
    certified = frozenset(cell.clean for cell in latest.cells if cell.is_certificate)
    reader = Reader(stores, protocols, trainings, known, told, certified)
    each = [(folder.store, folder.plans.plans) for folder in folders]
    rivals = Rivals(each, reader) if len(folders) > 1 else None
    cells: list[CellResult] = []
    conflicts: list[Conflict] = []
    for cell in sorted(latest.cells):
        planned = latest.cells[cell]
        result, place = reader.read(planned, latest)
        cells.append(result)
        if rivals is not None and place is not None:
            conflicts += rivals.against(planned, place)
    return Results(
        cells=tuple(cells),
        protocols=protocols,
        trainings=trainings,
        asked=_asked(folders),
        conflicts=tuple(conflicts),
        troubles=told.told(),
        gallery=Galleries(tuple(folder.store for folder in folders), latest.cells, protocols),
    )


def _asked(folders: Sequence[_Folder]) -> tuple[Asked, ...]:
    """Every run of every folder, the last one last."""
    found: list[tuple[tuple[int, str, str], Asked]] = []
    for folder in folders:
        store = folder.store
        for plan in folder.plans.plans:
            found.append((plan.place, _run(store, plan, partial(_cells_of, plan))))
        for name, note in folder.plans.covered.items():
            found.append((note.place, _run(store, note, partial(_stored_cells, store, name))))
    return tuple(run for _, run in sorted(found, key=lambda pair: pair[0]))


def _run(
    store: Store, plan: StoredPlan | CoveredPlan, cells: Callable[[], Iterable[Cell]]
) -> Asked:
    return Asked(
        folder=str(store.folder),
        suite=str(plan.suite.get("name", "")),
        cells=CellsOfRun(cells),
        date=plan.asked,
        command=plan.command,
        asked=plan.suite,
        made_with=plan.environment,
    )


def _cells_of(plan: StoredPlan) -> Iterator[Cell]:
    return (planned.cell for planned in plan.cells)


def _stored_cells(store: Store, name: str) -> Iterator[Cell]:
    return _cells_of(stored_plan(store, name))
