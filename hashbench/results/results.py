"""Results: what stores hold, as typed cells and as a data frame. Reads; never computes a code."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from hashbench.data.protocol import Protocol
from hashbench.results.asked import Asked
from hashbench.results.cell import CLEAN, WORST_CASE, Cell, CellResult, Status
from hashbench.results.flags import Flag
from hashbench.results.metrics import of_flag
from hashbench.results.sanity import flags_of
from hashbench.results.summary import as_html, as_text, headline
from hashbench.results.wide import WideRow, columns_of, wide_rows

if TYPE_CHECKING:
    import pandas as pd

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
"""The columns of `Results.to_frame` and of the CSV, in their order."""


@dataclass(frozen=True, repr=False)
class Results:
    """All cells of one run, or of several folders.

    Attributes:
        cells: sorted, each once.
        protocols: the protocol cards by hash.
        trainings: by hash, how the models were trained.
        asked: what the runs were asked for, the last one last.
        aside: further cells of these models that are done, where `cells` is a part of a folder.
            They stand in no table, and speak for the flags alone: a model whose numbers cannot be
            believed is not believable in a part of them.
    """

    cells: tuple[CellResult, ...]
    protocols: Mapping[str, Protocol]
    trainings: Mapping[str, Mapping[str, Any]]
    asked: tuple[Asked, ...] = field(default=(), compare=False)
    aside: tuple[CellResult, ...] = ()

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
        own = flags_of(self.cells, self.worst_cases, self.protocols)
        if not self.aside:
            return own
        whole = replace(self, cells=(*self.cells, *self.aside), aside=()).flags
        attacked = [result.cell for result in self.cells if result.cell.attack != CLEAN]
        found = {(key := replace(cell, attack=WORST_CASE)): whole.get(key, ()) for cell in attacked}
        models = {cell.clean for cell in attacked}
        for result in self.cells:
            if result.cell.attack == CLEAN and result.cell not in models:
                found[result.cell] = whole.get(result.cell, own.get(result.cell, ()))
        return {key: flags for key, flags in found.items() if flags}

    @cached_property
    def _columns(self) -> dict[Cell, list[CellResult]]:
        """The untargeted cells of each model and radius, by their worst-case cell."""
        columns: dict[Cell, list[CellResult]] = {}
        for result in self.cells:
            if result.cell.attack != CLEAN and not result.targeted:
                columns.setdefault(replace(result.cell, attack=WORST_CASE), []).append(result)
        return columns

    def leaderboard(self) -> pd.DataFrame:
        """One row per model and radius, in percent: the wide frame beside `to_frame`.

        Columns: `dataset`, `loss`, `backbone`, `bits`, `eps`, `defense`, `seeds` (how many the
        numbers are means over), `clean`, one for each attack (the control first; of a targeted
        one its t-mAP, `dhta (t-mAP)`), `worst case`, `chance`, `flagged` (codes, see
        `docs/flags.md`), `protocol`, `training`. NaN stands for what failed or was not run in
        one of the seeds.

        A worst case is over the untargeted attacks of its own model: compare two where these are
        the same. Rows of one table stand together, the highest worst case first, flagged models
        last. `hashbench report` ranks over the attacks that all models share, and says why a model
        has no rank.
        """
        import pandas as pd

        return pd.DataFrame(columns_of(self._wide))

    @cached_property
    def _wide(self) -> list[WideRow]:
        return wide_rows(self.cells, self.worst_cases, self.flags, self.protocols)

    @override
    def __repr__(self) -> str:
        return as_text(headline(self.cells, self.asked), self._wide)

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        return as_html(headline(self.cells, self.asked), self._wide)

    def to_frame(self) -> pd.DataFrame:
        """One row per cell and metric; a cell without a result has one row that says why.

        Rows with attack `worst-case` hold the mean over the queries of `worst_cases`; they are no
        cells, and say so where an attack is missing. Each is over all untargeted attacks of its own
        model: compare two where these are the same. A flag is a row of metric `flag(CODE)` and
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
            rows += [_row(cell, of_flag(flag.code), 1.0, Status.DONE, flag.words) for flag in flags]
        frame = pd.DataFrame(rows, columns=list(COLUMNS))
        order = ["protocol", "training", *COLUMNS[:9]]
        return frame.sort_values(order, kind="stable", ignore_index=True)


def only(results: Results, cells: Iterable[Cell]) -> Results:
    """The part of the results that concerns these cells."""
    wanted = set(cells)
    return Results(
        cells=tuple(result for result in results.cells if result.cell in wanted),
        protocols=results.protocols,
        trainings=results.trainings,
    )


def part(results: Results, cells: Iterable[Cell]) -> Results:
    """These cells to be looked at; what else is done stays aside, as evidence for the flags."""
    wanted = set(cells)
    shown = tuple(result for result in results.cells if result.cell in wanted)
    others = (r for r in results.cells if r.cell not in wanted and r.status is Status.DONE)
    return replace(results, cells=shown, aside=(*results.aside, *others))


def _row(cell: Cell, metric: str, value: float, status: Status, reason: str) -> tuple[Any, ...]:
    *named, protocol, training = astuple(cell)
    return (*named, metric, value, status.words, reason, protocol[:12], training[:12])
