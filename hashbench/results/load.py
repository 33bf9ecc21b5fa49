"""Reads stores into `Results`: which plan speaks for which cell, and what came of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from hashbench.characters import shown
from hashbench.data.protocol import Protocol
from hashbench.errors import FileError, UsageError
from hashbench.results.artifacts import KEY_DIGITS, ArtifactKind
from hashbench.results.asked import Asked
from hashbench.results.cell import Cell, CellResult, Status
from hashbench.results.planned import (
    StoredCell,
    StoredPlan,
    stored_plan,
    stored_plans,
    unwritten_plan,
)
from hashbench.results.results import Results
from hashbench.results.scored import Measured, measured
from hashbench.results.store import Store

NOTHING: Final[Mapping[str, Measured]] = {}
"""Of scores that were read already."""


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

    Raises:
        UsageError: a folder is missing or holds no results.
        StoreError: a plan cannot be read.
    """
    if not folders:
        raise UsageError("name at least one folder of results")
    stores = [Store(Path(folder)) for folder in folders]
    for store in stores:
        if not store.folder.is_dir():
            what = "is a file" if store.folder.exists() else "no such folder"
            raise UsageError(f"folder {store.folder}: {what}; 'hashbench run' makes one")
    asked = [(store, plan) for store in stores for plan in stored_plans(store)]
    if not asked:
        raise UsageError(
            f"folder {stores[0].folder}: no results in it; 'hashbench run --out "
            f"{stores[0].folder}' puts some there"
        )
    return _results(sorted(asked, key=lambda pair: pair[1].place), stores)


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
    return _results([(store, stored_plan(store, name))], [store], known)


def read_plan(
    store: Store, record: Mapping[str, Any], known: Mapping[str, Measured] = NOTHING
) -> Results:
    """Read the results of a plan that is not in its store, since nothing can be written there.

    Args:
        store: where the results lie.
        record: the plan as it would be stored.
        known: by the keys of scores, what was read of them already.
    """
    return _results([(store, unwritten_plan(record))], [store], known)


def _results(
    plans: Iterable[tuple[Store, StoredPlan]],
    stores: Sequence[Store],
    known: Mapping[str, Measured] = NOTHING,
) -> Results:
    """What came of the cells of some plans, the latest one last."""
    protocols: dict[str, Protocol] = {}
    trainings: dict[str, Mapping[str, Any]] = {}
    latest: dict[Cell, StoredCell] = {}
    runs: list[Asked] = []
    versions = _Versions()
    for store, plan in plans:
        runs.append(_asked(store, plan))
        protocols |= plan.protocols
        trainings |= plan.trainings
        for planned in plan.cells:
            latest[planned.cell] = planned
            versions.note(planned)
    reader = _Reader(tuple((store, store.failed_keys()) for store in stores), protocols, known)
    return Results(
        cells=tuple(reader.read(latest[cell], versions) for cell in sorted(latest)),
        protocols=protocols,
        trainings=trainings,
        asked=tuple(runs),
    )


def _asked(store: Store, plan: StoredPlan) -> Asked:
    cells = frozenset(planned.cell for planned in plan.cells)
    return Asked(str(store.folder), str(plan.suite.get("name", "")), cells)


class _Versions:
    """What rows and columns were made with by the latest plans that named them."""

    def __init__(self) -> None:
        self._models: dict[Cell, str] = {}
        self._made: dict[Cell, str] = {}
        self._attacks: dict[str, str] = {}

    def note(self, planned: StoredCell) -> None:
        """A later plan asks for this."""
        row = planned.cell.clean
        self._models[row] = _model_key(planned)
        self._made[replace(row, seed=0)] = planned.made
        self._attacks[planned.cell.attack] = planned.attack

    def outdated(self, planned: StoredCell) -> str:
        """What of a cell is of an earlier version: `model`, `attack`, or nothing."""
        row = planned.cell.clean
        # A table's row is a mean over seeds: those of one version.
        made = self._made[replace(row, seed=0)]
        if (self._models[row], made) != (_model_key(planned), planned.made):
            return "model"
        return "" if self._attacks[planned.cell.attack] == planned.attack else "attack"


def _model_key(planned: StoredCell) -> str:
    """The key of the defended model; where none is named, of the last that the steps make."""
    models = [step for step in planned.steps if step.kind == ArtifactKind.MODEL]
    model = planned.model or (models[-1] if models else None)
    return "" if model is None else model.key


@dataclass(frozen=True)
class _Reader:
    """Reads what came of cells.

    Attributes:
        stores: the folders, each with the keys of the steps that failed there.
        protocols: by hash.
        known: by the keys of scores, what was read of them already.
    """

    stores: tuple[tuple[Store, frozenset[str]], ...]
    protocols: Mapping[str, Protocol]
    known: Mapping[str, Measured]

    def read(self, planned: StoredCell, versions: _Versions) -> CellResult:
        """What came of a cell; one of an earlier version is not looked at."""
        cell, facts = planned.cell, planned.facts
        outdated = versions.outdated(planned)
        if outdated:
            reason = f"it was made with an earlier version of this {outdated}; run it again"
            return CellResult(cell, Status.MISSING, reason, attack=facts)
        damage = ""
        for store, _ in self.stores:
            try:
                found = self.known.get(planned.scores.key) or measured(
                    store, planned.scores, self.protocols[cell.protocol]
                )
            except FileError as error:
                damage = damage or shown(f"its result is damaged ({error}); run it again")
                continue
            if found is not None:
                return CellResult(
                    cell=cell,
                    status=Status.DONE,
                    metrics=found.scores.metrics,
                    recall=found.scores.curve.recall,
                    precision=found.scores.curve.precision,
                    per_query=found.per_query,
                    attack=facts,
                    seconds=self._seconds(planned, len(found.per_query)),
                )
        failure = self._failure(planned)
        if failure is not None:
            return CellResult(cell, Status.FAILED, failure, attack=facts)
        reason = damage or "it was not run, or not to the end"
        return CellResult(cell, Status.MISSING, reason, attack=facts)

    def _failure(self, planned: StoredCell) -> str | None:
        for step in planned.steps:
            for store, failed in self.stores:
                if step.key[:KEY_DIGITS] in failed:
                    failure = store.failure(step)
                    if failure is not None:
                        return failure.reason
        return None

    def _seconds(self, planned: StoredCell, queries: int) -> float | None:
        """Of the attack, per query; its record alone is read, whatever became of its files."""
        for step in planned.steps:
            if step.kind != ArtifactKind.ADVERSARIAL:
                continue
            for store, _ in self.stores:
                try:
                    artifact = store.artifact(step)
                except FileError:
                    continue
                if artifact is not None and "seconds" in artifact.record:
                    return float(artifact.record["seconds"]) / queries
        return None
