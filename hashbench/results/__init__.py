"""Results: cells, the store that holds them, what is read of it, and the flags. Needs no torch."""

from __future__ import annotations

from hashbench.results.cell import CLEAN, WORST_CASE, AttackFacts, Cell, CellResult, Status
from hashbench.results.load import load_results
from hashbench.results.results import COLUMNS, Results, only

__all__ = [
    "CLEAN",
    "COLUMNS",
    "WORST_CASE",
    "AttackFacts",
    "Cell",
    "CellResult",
    "Results",
    "Status",
    "load_results",
    "only",
]
