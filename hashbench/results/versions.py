"""Which version of a model or an attack speaks: that of the latest plan which names it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from hashbench.results.artifacts import ArtifactKind
from hashbench.results.cell import CERTIFICATE, Cell
from hashbench.results.planned import StoredCell, StoredPlan


class Latest:
    """What some plans say together: of each cell, row and column what the latest one says.

    Attributes:
        cells: what the latest plan that names a cell says of it.
    """

    def __init__(self, plans: Iterable[StoredPlan]) -> None:
        """Take plans, the latest one last."""
        self.cells: dict[Cell, StoredCell] = {}
        self._models: dict[Cell, str] = {}
        self._made: dict[Cell, str] = {}
        self._attacks: dict[tuple[str, bool], str] = {}
        for plan in plans:
            for planned in plan.cells:
                self._note(planned)

    def _note(self, planned: StoredCell) -> None:
        cell = planned.cell
        row = cell.clean
        self.cells[cell] = planned
        self._models[row] = _model_key(planned)
        self._made[replace(row, seed=0)] = planned.made
        self._attacks[cell.attack, cell.is_certificate] = planned.attack

    def outdated(self, planned: StoredCell) -> str:
        """What of a cell is of an earlier version: `model`, `attack`, `certificate`, or nothing."""
        row = planned.cell.clean
        # A table's row is a mean over seeds: those of one version.
        made = self._made[replace(row, seed=0)]
        if (self._models[row], made) != (_model_key(planned), planned.made):
            return "model"
        cell = planned.cell
        if self._attacks[cell.attack, cell.is_certificate] == planned.attack:
            return ""
        return CERTIFICATE if cell.is_certificate else "attack"


def _model_key(planned: StoredCell) -> str:
    """The key of the defended model; where none is named, of the last that the steps make."""
    models = [step for step in planned.steps if step.kind == ArtifactKind.MODEL]
    model = planned.model or (models[-1] if models else None)
    return "" if model is None else model.key
