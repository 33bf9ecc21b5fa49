"""Reads what folders hold of matches; compares every attack with what is proven."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hashbench.errors import FileError, StoreError, UsageError
from hashbench.files import parsed_json, why_no_folder
from hashbench.results.arrays import read_all_arrays
from hashbench.results.artifacts import PER_QUERY, SCORES
from hashbench.results.cell import Status
from hashbench.results.matches.kept import kept_pictures
from hashbench.results.matches.plans import (
    MatchPlan,
    PlannedMatch,
    latest_of,
    readable_match_plans,
)
from hashbench.results.matches.results import KeptPicture, MatchCell, MatchResult, MatchResults
from hashbench.results.matches.violations import violations
from hashbench.results.store import Store

MAX_METRICS: Final = 500
_MAX_ARRAYS: Final = 2**28


def load_matches(*folders: Path | str) -> MatchResults:
    """The results of all runs of matches of some folders; the latest run speaks for a cell.

    Raises:
        UsageError: there is no such folder, or no plan of matches in any.
    """
    found = [_Folder.of(Path(folder)) for folder in folders]
    plans = sorted((plan for one in found for plan in one.plans), key=lambda plan: plan.place)
    troubles = [sentence for one in found for sentence in one.troubles]
    if not plans and not troubles:
        named = ", ".join(str(folder) for folder in folders)
        raise UsageError(
            f"folder {named}: no results of matches in it; 'hashbench match --out FOLDER' puts "
            "some there"
        )
    return _results([one.store for one in found], plans, troubles)


def of_plan(store: Store, plan: MatchPlan) -> MatchResults:
    """The results of the cells of one plan."""
    return _results([store], [plan], [])


@dataclass(frozen=True)
class _Folder:
    store: Store
    plans: tuple[MatchPlan, ...]
    troubles: tuple[str, ...]

    @classmethod
    def of(cls, folder: Path) -> _Folder:
        if not folder.is_dir():
            raise UsageError(f"folder {folder}: {why_no_folder(folder)}")
        store = Store(folder)
        return cls(store, *readable_match_plans(store))


def _results(stores: list[Store], plans: Iterable[MatchPlan], troubles: list[str]) -> MatchResults:
    plans = tuple(plans)
    latest = latest_of(plans)
    sets = {key: card for plan in plans for key, card in plan.sets.items()}
    cells = tuple(_result(stores, latest[cell], troubles) for cell in sorted(latest))
    return MatchResults(
        cells=cells,
        sets=sets,
        commands=tuple(dict.fromkeys(plan.command for plan in plans if plan.command)),
        troubles=tuple(troubles),
        violations=violations(cells),
        gallery=partial(_gallery, stores, latest),
    )


def _result(stores: list[Store], planned: PlannedMatch, troubles: list[str]) -> MatchResult:
    status, reason = Status.MISSING, "not run"
    metrics: Mapping[str, float] = {}
    arrays: Mapping[str, NDArray[Any]] = {}
    for store in stores:
        try:
            found = measured_match(store, planned)
        except FileError as error:
            troubles.append(
                f"{store.folder / planned.scores.path}: {error}; run 'hashbench match' again"
            )
            continue
        if found is not None:
            status, reason = Status.DONE, ""
            metrics, arrays = found
            break
        failure = store.failure(planned.scores)
        failed = failure or next(
            (one for step in planned.steps if (one := store.failure(step)) is not None), None
        )
        if failed is not None:
            status, reason = Status.FAILED, failed.reason
    return MatchResult(
        cell=planned.cell,
        threat=planned.threat,
        bits=planned.bits,
        threshold=planned.threshold,
        black_box=planned.black_box,
        queries=planned.queries,
        status=status,
        reason=reason,
        metrics=metrics,
        per_picture=arrays,
    )


def measured_match(
    store: Store, planned: PlannedMatch
) -> tuple[Mapping[str, float], Mapping[str, NDArray[Any]]] | None:
    """Metrics and arrays of a cell; `None` where it has no artifact.

    Raises:
        FileError: it is damaged, or nothing that a run can have written.
    """
    artifact = store.artifact(planned.scores)
    if artifact is None:
        return None
    told = parsed_json(artifact.read(SCORES))
    metrics = told.get("metrics") if isinstance(told, dict) else None
    if not isinstance(metrics, dict) or len(metrics) > MAX_METRICS:
        raise FileError(f"{SCORES}: it holds no metrics")
    values = {}
    for name, value in metrics.items():
        if value == _INFINITE:
            value = np.inf
        if isinstance(value, bool) or not isinstance(value, int | float) or np.isnan(value):
            raise FileError(f"{SCORES}: the metric '{name[:80]}' is no number")
        values[name] = float(value)
    arrays: dict[str, NDArray[Any]] = {}
    if PER_QUERY in artifact.record["files"]:
        arrays = read_all_arrays(artifact.read(PER_QUERY, _MAX_ARRAYS), _MAX_ARRAYS)
    lengths = {len(array) for array in arrays.values() if array.ndim == 1}
    if len(lengths) > 1 or any(array.ndim != 1 for array in arrays.values()):
        raise FileError(f"{PER_QUERY}: its arrays are not one value for each picture")
    return values, arrays


_INFINITE: Final = "infinite"
"""How a metric that is infinite is written: JSON has no number for it."""


def scores_file(metrics: Mapping[str, float]) -> bytes:
    """The content of `scores.json` of a cell of matches.

    Raises:
        ValueError: a metric is not a number.
    """
    plain = {name: _INFINITE if value == np.inf else value for name, value in metrics.items()}
    return (json.dumps({"metrics": plain}, indent=2, allow_nan=False) + "\n").encode()


def _gallery(
    stores: list[Store], latest: Mapping[MatchCell, PlannedMatch], cell: MatchCell
) -> tuple[KeptPicture, ...]:
    """What was kept of a cell; nothing where it cannot be read, which its scores say too."""
    planned = latest.get(cell)
    for store in stores if planned is not None else ():
        try:
            return kept_pictures(store, planned.scores)  # type: ignore[union-attr]
        except (FileError, StoreError):
            continue
    return ()
