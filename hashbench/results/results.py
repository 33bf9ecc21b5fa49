"""Results: what stores hold, as typed cells and as a data frame. Reads; never computes a code."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from hashbench.characters import counted
from hashbench.data.protocol import Protocol
from hashbench.results.asked import Asked
from hashbench.results.cell import WORST_CASE, Cell, CellResult, Status
from hashbench.results.certificates import Violation, violations
from hashbench.results.flags import Flag
from hashbench.results.gallery import GalleryReader, no_gallery
from hashbench.results.intervals import Interval, intervals
from hashbench.results.metrics import NOT_READ, certified, of_conflict, of_flag
from hashbench.results.provenance import Conflict
from hashbench.results.sanity import flags_of
from hashbench.results.summary import as_html, as_text, headline
from hashbench.results.troubles import is_of_cells
from hashbench.results.wide import WideRow, columns_of, wide_rows

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

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
    "low",
    "high",
)
"""The columns of `Results.to_frame` and of the CSV, in their order."""

_fields_of: Final = attrgetter(*(one.name for one in fields(Cell)))


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
        conflicts: cells of which several folders say different things; the first of each is what
            `cells` holds.
        troubles: sentences that name what of the folders could not be read, and what to do.
        gallery: gives the pictures that were kept of an attacked cell.
    """

    cells: tuple[CellResult, ...]
    protocols: Mapping[str, Protocol]
    trainings: Mapping[str, Mapping[str, Any]]
    asked: tuple[Asked, ...] = field(default=(), compare=False)
    aside: tuple[CellResult, ...] = ()
    conflicts: tuple[Conflict, ...] = ()
    troubles: tuple[str, ...] = ()
    gallery: GalleryReader = field(default=no_gallery, compare=False)

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
    def intervals(self) -> dict[Cell, Interval]:
        """95 % intervals of mAP, for other queries of the same kind; see `docs/protocol.md`.

        Of every cell that is done, and of every worst case. Of a single query there is none, nor
        of a certificate.
        """
        samples = {
            r.cell: r.per_query
            for r in self.cells
            if r.status is Status.DONE and not r.cell.is_certificate
        }
        samples |= self.worst_cases
        found = intervals(list(samples.values()))
        return {cell: one for cell, one in zip(samples, found, strict=True) if one is not None}

    @cached_property
    def flags(self) -> dict[Cell, tuple[Flag, ...]]:
        """What makes the robust numbers of a model and radius unbelievable; most have no entry.

        Keyed as `worst_cases`; a model that nobody attacked has its clean cell.
        """
        own = flags_of(self.cells, self.worst_cases, self.protocols)
        if not self.aside:
            return own
        whole = replace(self, cells=(*self.cells, *self.aside), aside=()).flags
        attacked = [result.cell for result in self.cells if result.cell.is_attacked]
        found = {(key := replace(cell, attack=WORST_CASE)): whole.get(key, ()) for cell in attacked}
        models = {cell.clean for cell in attacked}
        for result in self.cells:
            if result.cell.is_clean and result.cell not in models:
                found[result.cell] = whole.get(result.cell, own.get(result.cell, ()))
        return {key: flags for key, flags in found.items() if flags}

    @cached_property
    def violations(self) -> tuple[Violation, ...]:
        """Attacks that left a query less than is proven of it: one of the two is wrong.

        Of the cells, and of those aside; there should never be one, see `docs/flags.md`.
        """
        return violations((*self.cells, *self.aside), self.protocols)

    @cached_property
    def _columns(self) -> dict[Cell, list[CellResult]]:
        """The untargeted cells of each model and radius, by their worst-case cell."""
        columns: dict[Cell, list[CellResult]] = {}
        for result in self.cells:
            if result.cell.is_attacked and not result.targeted:
                columns.setdefault(replace(result.cell, attack=WORST_CASE), []).append(result)
        return columns

    def leaderboard(self) -> pd.DataFrame:
        """One row per model and radius, in percent: the wide frame beside `to_frame`.

        Columns: `dataset`, `loss`, `backbone`, `bits`, `eps`, `defense`, `seeds` (how many the
        numbers are means over), `clean`, one for each attack (the control first; of a targeted
        one its t-mAP, `dhta (t-mAP)`), `worst case`, `certified` (where any model was asked for a
        certificate; NaN where nothing is proven), `chance`, `flagged` (codes, see
        `docs/flags.md`), `protocol`, `training`, `worst case low` and `worst case high`: its 95 %
        interval over queries (see `docs/protocol.md`). NaN stands for what failed or was not run
        in one of the seeds.

        A worst case is over the untargeted attacks of its own model: compare two where these are
        the same. Rows of one table stand together, the highest worst case first, flagged models
        last. `hashbench report` ranks over the attacks that all models share, and says why a model
        has no rank.
        """
        import pandas as pd

        return pd.DataFrame(columns_of(self._wide))

    def plot(self, kind: str = "map", *, theme: str = "light", **choice: object) -> Figure:
        """One picture, as `hashbench report --format plots` draws it.

        A `matplotlib.figure.Figure` of its own, without any state of `pyplot`: a notebook shows it
        where it is the last line of a cell, `.savefig("FILE.pdf")` writes it.

        Args:
            kind: `map` (bars), `eps` (mAP over the radius), `curves` (precision-recall),
                `clean-robust` (a point per model), `training` (robust mAP against the passes that
                the training took), `certified` (from what is proven to what attacks leave), or
                `certified-eps` (the same over the radius).
            theme: `light` or `dark`.
            choice: which part of the results it is of, where they hold more than one table:
                `dataset`, `loss`, `backbone`, `bits`, `defense`, `attack`, `eps`, `seed`, `suite`,
                as the options of `hashbench report`, each a value or several; or the first digits
                of a `protocol` or `training`.

        Raises:
            UsageError: there is no such kind or choice, the results hold several tables (the
                sentence names them), or nothing of the kind.
        """
        from hashbench.results.drawing import figure_of

        return figure_of(self, kind, theme, choice)

    @cached_property
    def _wide(self) -> list[WideRow]:
        return wide_rows(self.cells, self.worst_cases, self.flags, self.protocols)

    @override
    def __repr__(self) -> str:
        return as_text(self._head, self._wide)

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        return as_html(self._head, self._wide)

    @property
    def _head(self) -> str:
        """What the results are of, and that they are not all of it, or not of one voice."""
        said = headline(self.cells, self.asked)
        said += (
            f"; {counted(len(self.conflicts), 'conflict')}, .conflicts" if self.conflicts else ""
        )
        return f"{said}; not all was read, .troubles" if self.troubles else said

    def to_frame(self) -> pd.DataFrame:
        """One row per cell and metric; a cell without a result has one row that says why.

        Rows with attack `worst-case` hold the mean over the queries of `worst_cases`; they are no
        cells, and say so where an attack is missing. Each is over all untargeted attacks of its own
        model: compare two where these are the same. A flag is a row of metric `flag(CODE)` and
        value 1 there, whose reason is the flag's sentence. What another folder says of a cell,
        where that is something else, is a row of metric `conflict(map)` with the folder as its
        reason. A plan or a folder that could not be read is a row of metric `not-read` that names
        no cell: its texts are empty, its whole numbers 0, and its reason is the sentence.

        A certificate is a cell of attack `none` whose `eps` is its radius (`0/255` for 0): what is
        proven is its metric `certified_map`, NaN with the reason where nothing is.

        `low` and `high` are both ends of the 95 % interval of a mAP, under the protocol's order of
        ties, for other queries of the same kind; NaN beside everything else. They do not speak of
        the chance in training.
        """
        import pandas as pd

        rows: list[tuple[Any, ...]] = []
        for result in self.cells:
            metrics = dict(result.metrics)
            if result.cell.is_certificate:
                metrics.setdefault(certified(self.metric(result.cell)), math.nan)
            elif not metrics:
                metrics[self.metric(result.cell)] = math.nan
            rows += [
                self._row(result.cell, name, value, result.status, result.reason)
                for name, value in metrics.items()
            ]
        for cell in self._columns:
            if cell in self.worst_cases:
                value, status, reason = float(self.worst_cases[cell].mean()), Status.DONE, ""
            else:
                value, status = float("nan"), Status.FAILED
                reason = "an attack of this row failed or was not run"
            rows.append(self._row(cell, self.metric(cell), value, status, reason))
        for cell, flags in self.flags.items():
            rows += [
                self._row(cell, of_flag(flag.code), 1.0, Status.DONE, flag.words) for flag in flags
            ]
        rows += [row for conflict in self.conflicts for row in self._others(conflict)]
        unknown = float("nan")
        nothing = ("", "", "", 0, "", "", "", 0, NOT_READ, unknown, Status.MISSING.words)
        rows += [
            (*nothing, one, "", "", unknown, unknown)
            for one in self.troubles
            if not is_of_cells(one)
        ]
        frame = pd.DataFrame(rows, columns=list(COLUMNS))
        order = ["protocol", "training", *COLUMNS[:9]]
        return frame.sort_values(order, kind="stable", ignore_index=True)

    def _others(self, conflict: Conflict) -> Iterator[tuple[Any, ...]]:
        """What the other places say of a cell, a row each."""
        metric = of_conflict(conflict.metric)
        for said in conflict.measurements[1:]:
            source = said.provenance
            reason = f"folder {source.folder} says so, with the key {source.key[:12]}"
            value = said.metrics.get(conflict.metric, float("nan"))
            yield self._row(conflict.cell, metric, value, Status.DONE, reason)

    def _row(
        self, cell: Cell, metric: str, value: float, status: Status, reason: str
    ) -> tuple[Any, ...]:
        # `dataclasses.astuple` copies every field in depth, which takes longer than all the rest.
        *named, protocol, training = _fields_of(cell)
        bounds = self.intervals.get(cell) if metric == self.metric(cell) else None
        low, high = (math.nan, math.nan) if bounds is None else (bounds.low, bounds.high)
        hashes = (protocol[:12], training[:12])
        return (*named, metric, value, status.words, reason, *hashes, low, high)


def only(results: Results, cells: Iterable[Cell]) -> Results:
    """The part of the results that concerns these cells."""
    wanted = set(cells)
    return Results(
        cells=tuple(result for result in results.cells if result.cell in wanted),
        protocols=results.protocols,
        trainings=results.trainings,
        conflicts=tuple(found for found in results.conflicts if found.cell in wanted),
        gallery=results.gallery,
    )


def part(results: Results, cells: Iterable[Cell]) -> Results:
    """These cells to be looked at; what else is done stays aside, as evidence for the flags."""
    wanted = set(cells)
    shown = tuple(result for result in results.cells if result.cell in wanted)
    others = (r for r in results.cells if r.cell not in wanted and r.status is Status.DONE)
    return replace(
        results,
        cells=shown,
        aside=(*results.aside, *others),
        conflicts=tuple(found for found in results.conflicts if found.cell in wanted),
    )
