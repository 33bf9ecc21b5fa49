"""Reads what came of cells out of stores, and what other stores say of the same cells."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from hashbench.characters import shown
from hashbench.data.protocol import Protocol
from hashbench.errors import FileError
from hashbench.results.artifacts import KEY_DIGITS, ArtifactKind
from hashbench.results.cell import Cell, CellResult, Status
from hashbench.results.conflicts import conflict_of
from hashbench.results.planned import StoredCell, StoredPlan
from hashbench.results.provenance import Conflict, Measurement, Provenance
from hashbench.results.scored import Measured, measured
from hashbench.results.store import Store
from hashbench.results.sums import NewerError
from hashbench.results.troubles import NO_COST, NOT_RUN, STANDS_IN, Troubles
from hashbench.results.versions import Latest

_CONDITIONS: Final = ("device", "threads", "precision")
"""What a training notes of how it was computed, and a number is made under."""


@dataclass(frozen=True)
class Place:
    """What one store holds of a cell."""

    store: Store
    found: Measured
    provenance: Provenance

    @property
    def measurement(self) -> Measurement:
        """What it says, and where it comes from."""
        return Measurement(self.found.scores.metrics, self.provenance)


@dataclass(frozen=True)
class Reader:
    """Reads what came of cells.

    Attributes:
        stores: the folders, each with the keys of the steps that failed there.
        protocols, trainings: by hash.
        known: by the keys of scores, what was read of them already.
        troubles: get what cannot be read.
        certified: the clean cells of the models of which anything may be proven: of these the worst
            order of ties is kept beside the expected one.
    """

    stores: tuple[tuple[Store, frozenset[str]], ...]
    protocols: Mapping[str, Protocol]
    trainings: Mapping[str, Mapping[str, Any]]
    known: Mapping[str, Measured]
    troubles: Troubles
    certified: frozenset[Cell] = frozenset()
    environments: dict[tuple[tuple[str, str], ...], Mapping[str, str]] = field(default_factory=dict)

    def read(self, planned: StoredCell, versions: Latest) -> tuple[CellResult, Place | None]:
        """What came of a cell, and where it lies; one of an earlier version is not looked at."""
        cell, facts = planned.cell, planned.facts
        outdated = versions.outdated(planned)
        if outdated:
            reason = f"it was made with an earlier version of this {outdated}; run it again"
            return CellResult(cell, Status.MISSING, reason, attack=facts), None
        damaged: list[tuple[Store, FileError]] = []
        for store, _ in self.stores:
            try:
                place = self.place(store, planned)
            except FileError as error:
                damaged.append((store, error))
                continue
            if place is not None:
                self._tell(damaged, planned, STANDS_IN)
                return self._done(planned, place), place
        self._tell(damaged, planned, NOT_RUN)
        failure = self._failure(planned)
        if failure is not None:
            return CellResult(cell, Status.FAILED, failure, attack=facts), None
        reason = "it was not run, or not to the end"
        for _, cause in damaged[:1]:
            newer = isinstance(cause, NewerError)
            said = f"its result is damaged ({cause}); run it again"
            reason = shown(f"its result cannot be read ({cause})" if newer else said)
        return CellResult(cell, Status.MISSING, reason, attack=facts), None

    def place(self, store: Store, planned: StoredCell) -> Place | None:
        """What a store holds of a cell; `None` where nothing.

        Raises:
            FileError: it is damaged.
        """
        key = planned.scores.key
        found = self.known.get(key) or measured(
            store,
            planned.scores,
            self.protocols[planned.cell.protocol],
            certificate=planned.cell.is_certificate,
        )
        if found is None:
            return None
        code = "certificate" if planned.cell.is_certificate else "attack"
        plugins = {code: planned.attack, "model": planned.made}
        provenance = Provenance(
            folder=str(store.folder),
            key=key,
            environment=self._environment(found, planned.cell),
            plugins={kind: digest for kind, digest in plugins.items() if digest},
            made=found.written,
        )
        return Place(store, found, provenance)

    def _done(self, planned: StoredCell, place: Place) -> CellResult:
        found, cell = place.found, planned.cell
        beside = cell.is_attacked and cell.clean in self.certified
        return CellResult(
            cell=cell,
            status=Status.DONE,
            reason=shown(found.scores.reason),
            metrics=found.scores.metrics,
            recall=found.scores.curve.recall,
            precision=found.scores.curve.precision,
            per_query=found.per_query,
            worst_ties=found.worst_ties if beside else np.empty(0),
            attack=planned.facts,
            seconds=self._seconds(planned, self.protocols[cell.protocol].query),
            provenance=place.provenance,
        )

    def _environment(self, found: Measured, cell: Cell) -> Mapping[str, str]:
        """What made a number, and on what; thousands of cells share one."""
        compute = self.trainings.get(cell.training, {}).get("compute", {})
        own = compute if isinstance(compute, Mapping) else {}
        conditions = {name: str(own[name]) for name in _CONDITIONS if name in own}
        whole = {**found.environment, **conditions}
        return self.environments.setdefault(tuple(whole.items()), whole)

    def _tell(
        self, damaged: Iterable[tuple[Store, FileError]], planned: StoredCell, then: str
    ) -> None:
        for store, error in damaged:
            self.troubles.result(store, planned.scores, error, then)

    def _failure(self, planned: StoredCell) -> str | None:
        for step in planned.steps:
            for store, failed in self.stores:
                if step.key[:KEY_DIGITS] in failed:
                    failure = store.failure(step)
                    if failure is not None:
                        return failure.reason
                    if store.noted_failure(step) is None:
                        self.troubles.failure(store.failure_path(step))
        return None

    def _seconds(self, planned: StoredCell, queries: int) -> float | None:
        """Of the attack or the proof, per query; its record alone is read, whatever its files."""
        attacks = [step for step in planned.steps if step.kind == ArtifactKind.ADVERSARIAL]
        for step in (planned.scores,) if planned.cell.is_certificate else attacks:
            for store, _ in self.stores:
                try:
                    artifact = store.artifact(step)
                except FileError as error:
                    self.troubles.result(store, step, error, NO_COST)
                    continue
                if artifact is not None and "seconds" in artifact.record:
                    return float(artifact.record["seconds"]) / queries
        return None


class Rivals:
    """What other folders say of cells: each by its own latest plan."""

    def __init__(
        self, folders: Iterable[tuple[Store, Iterable[StoredPlan]]], reader: Reader
    ) -> None:
        """Take every folder with its plans, the latest one last."""
        self._reader = reader
        self._folders = [(store, Latest(plans)) for store, plans in folders]
        self._named = Counter(cell for _, latest in self._folders for cell in latest.cells)

    def against(self, winner: StoredCell, place: Place) -> Iterator[Conflict]:
        """The conflict about a cell, if there is one.

        Args:
            winner: what the latest plan of all says of it.
            place: what stands in the tables.
        """
        cell = winner.cell
        if self._named[cell] < 2:
            return
        found = [(place.found, place.measurement)]
        for store, latest in self._folders:
            own = latest.cells.get(cell)
            if own is None or (store is place.store and own.scores == winner.scores):
                continue
            if latest.outdated(own):
                continue
            try:
                other = self._reader.place(store, own)
            except FileError as error:
                self._reader.troubles.result(store, own.scores, error, STANDS_IN)
                continue
            if other is not None:
                found.append((other.found, other.measurement))
        conflict = conflict_of(cell, found, self._reader.protocols[cell.protocol])
        if conflict is not None:
            yield conflict
