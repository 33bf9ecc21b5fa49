"""Results: what stores hold, as typed cells and as a data frame. Reads; never computes a code."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass, field, replace
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hashbench.data.protocol import Protocol
from hashbench.errors import StoreError, UsageError
from hashbench.plugins.card import Aim
from hashbench.runner.cell import CLEAN, AttackFacts, Cell
from hashbench.runner.store import Address, Store

if TYPE_CHECKING:
    import pandas as pd

    from hashbench.flags import Flag

WORST_CASE = "worst-case"
"""The `attack` of a row that holds, per query, the lowest average precision over all attacks."""

COLUMNS = (
    "dataset",
    "loss",
    "backbone",
    "bits",
    "defense",
    "attack",
    "eps",
    "seed",
    "metric",
    "value",
    "status",
    "reason",
    "protocol",
    "training",
)


class Status(StrEnum):
    """How a cell stands."""

    DONE = "done"
    FAILED = "failed"
    MISSING = "not run"


@dataclass(frozen=True)
class CellResult:
    """One cell and what became of it.

    Attributes:
        cell: what was asked for.
        status: how it stands.
        reason: why it failed; empty otherwise.
        metrics: value by canonical name, in `[0, 1]` where it is a share or a precision.
        recall, precision: the precision-recall curve.
        per_query: expected average precision of each query, float64 (Q,); empty unless done.
        attack: of what kind the attack is; `None` for clean queries.
        seconds: that the attack took for one query, on the machine and beside the load that it ran
            with, so not the same twice; `None` where it is not known.
    """

    cell: Cell
    status: Status
    reason: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)
    recall: tuple[float, ...] = ()
    precision: tuple[float, ...] = ()
    per_query: NDArray[np.float64] = field(default_factory=lambda: np.empty(0), compare=False)
    attack: AttackFacts | None = None
    seconds: float | None = field(default=None, compare=False)

    @property
    def targeted(self) -> bool:
        """Whether its attack leads to targets: it is no part of a worst case."""
        if self.attack is None:  # an older plan does not say; the metrics of an attack do
            own = self.cell.attack != CLEAN
            return own and any(name.startswith("t-") for name in self.metrics)
        return self.attack.aim is Aim.TARGETED


@dataclass(frozen=True)
class Results:
    """All cells of one run, or of several folders.

    Attributes:
        cells: sorted, each once.
        protocols: the protocol cards by hash.
        trainings: by hash, how the models were trained.
    """

    cells: tuple[CellResult, ...]
    protocols: Mapping[str, Protocol]
    trainings: Mapping[str, Mapping[str, Any]]

    @property
    def failed(self) -> tuple[CellResult, ...]:
        """Cells that did not come to a result."""
        return tuple(result for result in self.cells if result.status is not Status.DONE)

    def metric(self, cell: Cell) -> str:
        """The name of mAP in a cell: `map`, or `map@5000`."""
        return self.protocols[cell.protocol].metric

    @cached_property
    def worst_cases(self) -> dict[Cell, NDArray[np.float64]]:
        """Per query the lowest average precision over all untargeted attacks of a model and radius.

        (Q,) each, keyed by a cell whose attack is `worst-case`. Where an attack failed or is
        missing there is no entry: a minimum over fewer attacks would flatter.
        """
        return {
            key: np.minimum.reduce([result.per_query for result in column])
            for key, column in self._columns.items()
            if all(result.status is Status.DONE for result in column)
        }

    @cached_property
    def flags(self) -> dict[Cell, tuple[Flag, ...]]:
        """What makes the robust numbers of a model and radius unbelievable; most have no entry.

        Keyed as `worst_cases`; a model that nobody attacked has its clean cell.
        """
        from hashbench.runner.sanity import flags_of

        return flags_of(self)

    @cached_property
    def _columns(self) -> dict[Cell, list[CellResult]]:
        """The untargeted cells of each model and radius, by their worst-case cell."""
        columns: dict[Cell, list[CellResult]] = {}
        for result in self.cells:
            if result.cell.attack != CLEAN and not result.targeted:
                columns.setdefault(replace(result.cell, attack=WORST_CASE), []).append(result)
        return columns

    def to_frame(self) -> pd.DataFrame:
        """One row per cell and metric; a cell without a result has one row that says why.

        Rows with attack `worst-case` hold the mean over the queries of `worst_cases`; they are no
        cells, and say so where an attack is missing. A flag is a row of metric `flag(CODE)` and
        value 1 there, whose reason is the flag's sentence.
        """
        import pandas as pd

        rows: list[tuple[Any, ...]] = []
        for result in self.cells:
            metrics = dict(result.metrics) or {self.metric(result.cell): float("nan")}
            rows += [
                _row(result.cell, name, value, result.status, result.reason)
                for name, value in metrics.items()
            ]
        for cell in self._columns:
            if cell in self.worst_cases:
                value, status, reason = float(self.worst_cases[cell].mean()), Status.DONE, ""
            else:
                value, status = float("nan"), Status.FAILED
                reason = "an attack of this row failed or was not run"
            rows.append(_row(cell, self.metric(cell), value, status, reason))
        for cell, flags in self.flags.items():
            rows += [
                _row(cell, f"flag({flag.code})", 1.0, Status.DONE, flag.words) for flag in flags
            ]
        frame = pd.DataFrame(rows, columns=list(COLUMNS))
        order = ["protocol", "training", *COLUMNS[:9]]
        return frame.sort_values(order, kind="stable", ignore_index=True)


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


def only(results: Results, cells: Iterable[Cell]) -> Results:
    """The part of the results that concerns these cells."""
    wanted = set(cells)
    return Results(
        cells=tuple(result for result in results.cells if result.cell in wanted),
        protocols=results.protocols,
        trainings=results.trainings,
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


def _row(cell: Cell, metric: str, value: float, status: Status, reason: str) -> tuple[Any, ...]:
    *named, protocol, training = astuple(cell)
    return (*named, metric, value, str(status), reason, protocol[:12], training[:12])
