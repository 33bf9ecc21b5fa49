"""Whether attacks leave what certificates prove: what must never happen is looked for. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from hashbench.data.protocol import Protocol
from hashbench.results.cell import Cell, CellResult, Status, in_words
from hashbench.results.evidence import Beaten

_UNIT: Final = 2.0**-53
"""By how much a float64 near 1 may be rounded."""


def room(items: int) -> float:
    """By how much two average precisions may differ that are equal, in float64.

    Each is a mean of up to `items` shares, which are sums of differences of harmonic numbers (below
    `1 + ln(items)`), each right to some 8 units; both sides, and twice as much to be sure. It is
    7e-10 for 10,000 items.
    """
    return 64 * _UNIT * items * (1 + math.log(items))


@dataclass(frozen=True)
class Violation:
    """An attack that went below a certificate of the same model.

    Attributes:
        cell: the attacked one.
        beaten: where, and by how much.
    """

    cell: Cell
    beaten: Beaten

    @property
    def words(self) -> str:
        """A sentence that names model, attack, query and both values."""
        return (
            f"attack-beats-certificate: {in_words(self.cell)}: {self.beaten.words}: an attack "
            "cannot go below a proof, so one of the two is wrong"
        )


def violations(
    cells: Iterable[CellResult], protocols: Mapping[str, Protocol]
) -> tuple[Violation, ...]:
    """Every attack that left some query less than is proven of it.

    A certificate holds for every attack whose radius it covers, whatever its aim, on the same
    model: same data, protocol, training and seed. Both are compared with ties in their worst
    order, by more than rounding can explain (`room`).

    Args:
        cells: of any models; those without a result say nothing.
        protocols: by hash.

    Returns:
        One for each attacked cell and certificate, of the query that is farthest below.
    """
    proven: dict[Cell, list[CellResult]] = {}
    attacked: dict[Cell, list[CellResult]] = {}
    for result in cells:
        if result.status is not Status.DONE or not result.per_query.size:
            continue
        if result.cell.is_certificate:
            proven.setdefault(result.cell.clean, []).append(result)
        elif result.cell.is_attacked:
            attacked.setdefault(result.cell.clean, []).append(result)
    return tuple(
        violation
        for model, certificates in sorted(proven.items(), key=lambda pair: pair[0])
        for attack in sorted(attacked.get(model, ()), key=lambda one: one.cell)
        for violation in _of_attack(attack, certificates, room(protocols[model.protocol].database))
    )


def _of_attack(
    attack: CellResult, certificates: Sequence[CellResult], room: float
) -> Iterator[Violation]:
    # Only models with a certificate have the worst order; the expected one is never below it.
    left = attack.worst_ties if attack.worst_ties.size else attack.per_query
    radius = attack.cell.radius
    for certificate in sorted(certificates, key=lambda one: one.cell):
        promised = certificate.per_query
        # An L2 ball lies in the L-infinity ball of its radius.
        if not certificate.cell.radius.holds(radius) or promised.size != left.size:
            continue
        short = promised - left
        below = int((short > room).sum())
        if below:
            query = int(np.argmax(short))
            beaten = Beaten(
                attack=attack.cell.attack,
                eps=radius,
                proven_at=certificate.cell.radius,
                query=query,
                proven=float(promised[query]),
                left=float(left[query]),
                queries=below,
            )
            yield Violation(attack.cell, beaten)
