"""Reads stores into `Results`: which plan speaks for which cell, and what came of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from hashbench.data.protocol import Protocol
from hashbench.errors import StoreError, UsageError
from hashbench.results.cell import CLEAN, AttackFacts, Cell, CellResult, Status
from hashbench.results.results import Results
from hashbench.results.store import Address, Store


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
    asked = [(plan, store) for store in stores for plan in store.plans()]
    if not asked:
        raise UsageError(
            f"folder {stores[0].folder}: no results in it; 'hashbench run --out "
            f"{stores[0].folder}' puts some there"
        )
    for plan, _ in sorted(asked, key=lambda pair: str(pair[0].get("asked", ""))):
        try:
            protocols |= {key: Protocol(**card) for key, card in plan["protocols"].items()}
            trainings |= plan["trainings"]
            for planned in plan["cells"]:
                cell = Cell(**planned["cell"])
                found[cell] = _read(cell, planned, stores)
                made_with[cell] = latest[_row_of(cell)] = _model_key(planned)
                attacked_with[cell] = latest_attack[cell.attack] = planned.get("attack", "")
        except (KeyError, TypeError) as error:
            raise StoreError(f"a plan is damaged ({error!r}); run the suite again") from error
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
    )


def _row_of(cell: Cell) -> Cell:
    """What all cells of one model share."""
    return replace(cell, attack=CLEAN, eps="0")


def _model_key(planned: Mapping[str, Any]) -> str:
    """The key of the defended model, the last model that a cell's steps make."""
    keys = [step["key"] for step in planned["steps"] if step["kind"] == "model"]
    return str(keys[-1]) if keys else ""


def _read(cell: Cell, planned: Mapping[str, Any], stores: list[Store]) -> CellResult:
    address = Address(**planned["scores"])
    facts = AttackFacts.from_plain(planned["facts"]) if planned.get("facts") else None
    for store in stores:
        if store.has(address):
            summary = json.loads(store.file(address, "scores.json").read_text())
            with np.load(store.file(address, "per_query.npz"), allow_pickle=False) as arrays:
                per_query = np.asarray(arrays["expected"], dtype=np.float64)
            return CellResult(
                cell=cell,
                status=Status.DONE,
                metrics=summary["metrics"],
                recall=tuple(summary["curve"]["recall"]),
                precision=tuple(summary["curve"]["precision"]),
                per_query=per_query,
                attack=facts,
                seconds=_seconds(planned, stores, len(per_query)),
            )
    for step in planned["steps"]:
        for store in stores:
            failure = store.failure(Address(**step))
            if failure is not None:
                return CellResult(cell, Status.FAILED, failure.reason, attack=facts)
    return CellResult(cell, Status.MISSING, "it was not run, or not to the end", attack=facts)


def _seconds(planned: Mapping[str, Any], stores: list[Store], queries: int) -> float | None:
    """Of the attack, per query."""
    for step in planned["steps"]:
        if step["kind"] != "adversarial":
            continue
        for store in stores:
            record = store.record(Address(**step))
            if record is not None and queries:
                return float(record["seconds"]) / queries
    return None
