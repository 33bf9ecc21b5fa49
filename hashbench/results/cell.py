"""A cell: the unit of a result, as people read it. Plain data that survives in a plan file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from hashbench.eps import Eps
from hashbench.plugins.card import Access, Aim
from hashbench.results.metrics import is_toward_targets

if TYPE_CHECKING:
    from hashbench.results.origin import Provenance

CLEAN = "none"
"""The attack of a cell whose queries are left alone, and of one that holds a certificate."""

UNATTACKED = "0"
"""The radius of a clean cell. A certificate has another one, in text: see `Cell.certified`."""

CERTIFICATE = "certificate"
"""What messages and pages call the cell of what is proven."""

WORST_CASE = "worst-case"
"""The `attack` of a row that holds, per query, the lowest average precision over all attacks."""


@dataclass(frozen=True, order=True)
class Cell:
    """One row of the results.

    Attributes:
        dataset, loss, backbone, bits, defense, attack, eps, seed: as asked for, plugins by their
            canonical text. `attack` is `none` and `eps` is `0` where queries are left alone; with
            another `eps` it is what is proven at that radius. `eps` is text, `8/255` or `l2:0.5`: a
            radius in two spellings is two cells, and cells are sorted by it as text.
        protocol: hash of the protocol.
        training: hash of how models were trained and of what they were computed with: cells of two
            trainings do not belong in one table.
    """

    dataset: str
    loss: str
    backbone: str
    bits: int
    defense: str
    attack: str
    eps: str
    seed: int
    protocol: str
    training: str

    identity: ClassVar[bool] = True

    @property
    def radius(self) -> Eps:
        """`eps` as a number."""
        return _radius(self.eps)

    @property
    def clean(self) -> Cell:
        """The clean cell of the same model: what all cells of one model share."""
        return replace(self, attack=CLEAN, eps=UNATTACKED)

    def certified(self, eps: Eps) -> Cell:
        """The cell of what is proven of the same model at a radius.

        At radius 0 it is written `0/255`, since `none` at `0` is the clean cell.
        """
        text = str(eps)
        return replace(self, attack=CLEAN, eps=f"{text}/255" if text == UNATTACKED else text)

    @property
    def is_clean(self) -> bool:
        """Whether its queries are left alone."""
        return self.attack == CLEAN and self.eps == UNATTACKED

    @property
    def is_certificate(self) -> bool:
        """Whether it is of what is proven at its radius, and no attack is run."""
        return self.attack == CLEAN and self.eps != UNATTACKED

    @property
    def is_attacked(self) -> bool:
        """Whether its queries are attacked."""
        return self.attack != CLEAN


def in_words(cell: Cell) -> str:
    """A cell as messages and pages name it, with all that tells it from others."""
    what = CERTIFICATE if cell.is_certificate else cell.attack
    return (
        f"{cell.defense} / {what} (eps {cell.eps}, {cell.dataset}, {cell.loss}, "
        f"{cell.backbone}, {cell.bits} bits, seed {cell.seed})"
    )


@lru_cache(maxsize=1024)
def _radius(text: str) -> Eps:
    """Read once: a report asks for the radius of each cell many times."""
    return Eps.parse(text)


@dataclass(frozen=True)
class AttackFacts:
    """What reports have to know of an attack.

    Attributes:
        name: the plugin's.
        aim: targeted attacks are scored by their targets, and are no part of the worst case.
        access: how it looks at the model.
        transfers: whether it follows a surrogate instead.
        parameters: every parameter with its value, as plain data.
        reach: how far its steps together can move a pixel at the cell's radius, in `[0, 1]` pixels;
            `None` where nothing bounds it, in an L2 ball, and in older plans.
    """

    name: str
    aim: Aim
    access: Access
    transfers: bool = False
    parameters: Mapping[str, Any] = field(default_factory=dict)
    reach: float | None = None

    @property
    def white_box(self) -> bool:
        """Whether it follows the attacked model's own gradients."""
        return self.access is Access.GRADIENT and not self.transfers

    @property
    def blind(self) -> bool:
        """Whether it never asks any model, as noise does."""
        return self.access is Access.NONE and not self.transfers


class Status(StrEnum):
    """How a cell stands."""

    DONE = "done"
    FAILED = "failed"
    MISSING = "not-run"

    @property
    def words(self) -> str:
        """As tables, the CSV and `Results.to_frame` write it, since version 0.1: `not run`."""
        return self.replace("-", " ")


@dataclass(frozen=True)
class CellResult:
    """One cell and what became of it.

    Attributes:
        cell: what was asked for.
        status: how it stands.
        reason: why it failed; of a certificate that is done, why nothing is proven; else empty.
        metrics: value by canonical name, in `[0, 1]` where it is a share or a precision.
        recall, precision: the precision-recall curve.
        per_query: expected average precision of each query, float64 (Q,); empty unless done. Of a
            certificate, the average precision that is proven of each, ties in their worst order;
            empty too where nothing is.
        worst_ties: of an attack on a model with a certificate, the average precision of each query
            with ties in their worst order, (Q,); else empty.
        attack: of what kind the attack is; `None` for clean queries.
        seconds: what the attack took per query. They depend on the machine and its load, so they
            are not the same twice; `None` where they are not known.
        provenance: where the numbers come from; `None` where there are none.
    """

    cell: Cell
    status: Status
    reason: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)
    recall: tuple[float, ...] = ()
    precision: tuple[float, ...] = ()
    per_query: NDArray[np.float64] = field(default_factory=lambda: np.empty(0), compare=False)
    worst_ties: NDArray[np.float64] = field(default_factory=lambda: np.empty(0), compare=False)
    attack: AttackFacts | None = None
    seconds: float | None = field(default=None, compare=False)
    provenance: Provenance | None = field(default=None, compare=False)

    @property
    def targeted(self) -> bool:
        """Whether its attack leads to targets: it is no part of a worst case."""
        if self.attack is None:  # an older plan does not say; the metrics of an attack do
            own = self.cell.attack != CLEAN
            return own and any(map(is_toward_targets, self.metrics))
        return self.attack.aim is Aim.TARGETED
