"""Where a number comes from, and where two places say different things of one cell. Plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hashbench.results.cell import Cell
from hashbench.results.origin import Provenance as Provenance


@dataclass(frozen=True)
class Measurement:
    """What one place says of a cell.

    Attributes:
        metrics: value by canonical name.
        provenance: the place.
    """

    metrics: Mapping[str, float]
    provenance: Provenance


@dataclass(frozen=True)
class Conflict:
    """One cell of which several places say different things: they are shown, never averaged.

    Attributes:
        cell: which one.
        metric: the name of its mAP.
        measurements: what they say; the first one stands in the tables.
    """

    cell: Cell
    metric: str
    measurements: tuple[Measurement, ...]
