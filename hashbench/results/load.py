"""Reads stores into `Results`: which plan speaks for which cell, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from hashbench.data.protocol import Protocol
from hashbench.errors import UsageError
from hashbench.results.artifacts import PER_QUERY, ArtifactKind
from hashbench.results.asked import Asked
from hashbench.results.cell import CLEAN, Cell, CellResult, Status
from hashbench.results.planned import StoredCell, StoredPlan, stored_plans, stored_scores
from hashbench.results.results import Results
from hashbench.results.store import Store
from hashbench.retrieval import Ties


def load_results(*folders: str | Path) -> Results:
    """Read the results of one or more stores.

    The same cell in several plans counts once: the latest plan speaks for it, for the model of its
    row and for the attack of its column; a cell that was made with an earlier version of either (a
    plugin was edited, say) counts as not run. An artifact that one folder lacks is looked for in
    the others.

    Raises:
        UsageError: a folder is missing or holds no results.
        StoreError: a plan cannot be read.
    """
    found: dict[Cell, CellResult] = {}
    made_with: dict[Cell, str] = {}
    latest: dict[Cell, str] = {}
    attacked_with: dict[Cell, str] = {}
    latest_attack: dict[str, str] = {}
    protocols: dict[str, Protocol] = {}
    trainings: dict[str, Mapping[str, Any]] = {}
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
    runs: list[Asked] = []
    for store, plan in sorted(asked, key=lambda pair: pair[1].asked):
        runs.append(_asked(store, plan))
        protocols |= plan.protocols
        trainings |= plan.trainings
        for planned in plan.cells:
            cell = planned.cell
            found[cell] = _read(planned, stores)
            made_with[cell] = latest[_row_of(cell)] = _model_key(planned)
            attacked_with[cell] = latest_attack[cell.attack] = planned.attack
    for cell, key in made_with.items():
        outdated = ""
        if key != latest[_row_of(cell)]:
            outdated = "model"
        elif attacked_with[cell] != latest_attack[cell.attack]:
            outdated = "attack"
        if outdated:
            reason = f"it was made with an earlier version of this {outdated}; run it again"
            found[cell] = CellResult(cell, Status.MISSING, reason, attack=found[cell].attack)
    return Results(
        cells=tuple(found[cell] for cell in sorted(found)),
        protocols=protocols,
        trainings=trainings,
        asked=tuple(runs),
    )


def _asked(store: Store, plan: StoredPlan) -> Asked:
    cells = frozenset(planned.cell for planned in plan.cells)
    return Asked(str(store.folder), str(plan.suite.get("name", "")), cells)


def _row_of(cell: Cell) -> Cell:
    """What all cells of one model share."""
    return replace(cell, attack=CLEAN, eps="0")


def _model_key(planned: StoredCell) -> str:
    """The key of the defended model, the last model that a cell's steps make."""
    keys = [step.key for step in planned.steps if step.kind == ArtifactKind.MODEL]
    return keys[-1] if keys else ""


def _read(planned: StoredCell, stores: list[Store]) -> CellResult:
    cell, facts = planned.cell, planned.facts
    for store in stores:
        if store.has(planned.scores):
            scores = stored_scores(store, planned.scores)
            with np.load(store.file(planned.scores, PER_QUERY), allow_pickle=False) as arrays:
                per_query = np.asarray(arrays[Ties.EXPECTED], dtype=np.float64)
            return CellResult(
                cell=cell,
                status=Status.DONE,
                metrics=scores.metrics,
                recall=scores.curve.recall,
                precision=scores.curve.precision,
                per_query=per_query,
                attack=facts,
                seconds=_seconds(planned, stores, len(per_query)),
            )
    for step in planned.steps:
        for store in stores:
            failure = store.failure(step)
            if failure is not None:
                return CellResult(cell, Status.FAILED, failure.reason, attack=facts)
    return CellResult(cell, Status.MISSING, "it was not run, or not to the end", attack=facts)


def _seconds(planned: StoredCell, stores: list[Store], queries: int) -> float | None:
    """Of the attack, per query."""
    for step in planned.steps:
        if step.kind != ArtifactKind.ADVERSARIAL:
            continue
        for store in stores:
            record = store.record(step)
            if record is not None and queries:
                return float(record["seconds"]) / queries
    return None
