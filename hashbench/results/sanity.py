"""From cells to sanity flags: collects what `results.judging` judges by. Pure; reads no file."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hashbench.data.protocol import Protocol
from hashbench.results.cell import WORST_CASE, AttackFacts, Cell, CellResult
from hashbench.results.certificates import Violation, violations
from hashbench.results.evidence import AtEps0, Attacked, Evidence, InCompany, Probed, Role
from hashbench.results.flags import Flag
from hashbench.results.judging import raised
from hashbench.results.metrics import Metric

STEPS = "steps"
"""The parameter of an attack that says how long it descends."""


@dataclass(frozen=True)
class Column:
    """What was measured of one model, and at which radius it is to be judged.

    Attributes:
        cells: every cell of the model (one seed), at all radii, those without a result too.
        key: a cell of the model at that radius, whatever its attack.
        metric: the name of mAP.
        classes: of the data.
        worst_case: average precision of each query; `None` where an attack has none.
        violations: attacks on the model that went below what is proven of it.
    """

    cells: Sequence[CellResult]
    key: Cell
    metric: str
    classes: int
    worst_case: NDArray[np.float64] | None
    violations: Sequence[Violation] = ()

    def evidence(self) -> Evidence:
        """Everything that the cells say of the model at this radius."""
        clean = next((_metrics(r) for r in self.cells if r.cell.is_clean), {})
        attacked = [(r, _metrics(r)) for r in self.cells if r.cell.is_attacked]
        here = [(r, found) for r, found in attacked if r.cell.eps == self.key.eps]
        without_gradient = [m[Metric.ZERO_GRADIENTS] for _, m in here if Metric.ZERO_GRADIENTS in m]
        radius = self.key.radius
        return Evidence(
            classes=self.classes,
            bits=self.key.bits,
            clean=clean.get(self.metric),
            chance=clean.get(Metric.CHANCE),
            floor=clean.get(Metric.FLOOR),
            distinct_codes=clean.get(Metric.DISTINCT_CODES),
            bit_entropy=clean.get(Metric.BIT_ENTROPY),
            saturated=clean.get(Metric.SATURATED),
            zero_gradients=max(without_gradient, default=None),
            unstable=clean.get(Metric.PROBE_UNSTABLE),
            moved=clean.get(Metric.PROBE_MOVED),
            dependent=clean.get(Metric.PROBE_DEPENDENT),
            codes_alone=clean.get(Metric.PROBE_CODES_ALONE, 0.0) > 0,
            in_company=tuple(
                InCompany(r.cell.attack, found[Metric.DEPENDENT])
                for r, found in here
                if Metric.DEPENDENT in found
            ),
            probed=_probed(clean),
            at_eps_0=tuple(
                AtEps0(r.cell.attack, found[self.metric], found.get(Metric.FLIPPED_BITS, 0.0))
                for r, found in attacked
                if r.cell.radius.fraction == 0 and self.metric in found
            ),
            attacks=self._untargeted([r for r, _ in here]),
            smaller=self._untargeted(
                [
                    r
                    for r, _ in attacked
                    if r.cell.radius.norm is radius.norm and r.cell.radius < radius
                ]
            ),
            whole=all(
                self.metric in found
                for r, found in here
                if not r.targeted and (r.attack is None or r.attack.white_box)
            ),
            worst_case=None if self.worst_case is None else float(self.worst_case.mean()),
            beaten=tuple(
                one.beaten
                for one in self.violations
                if radius in (one.beaten.eps, one.beaten.proven_at)
            ),
        )

    def _untargeted(self, cells: Sequence[CellResult]) -> tuple[Attacked, ...]:
        """Those with a result; none where the plan does not say of what kind its attacks are."""
        return tuple(
            Attacked(
                name=r.cell.attack,
                role=_role(r.attack),
                eps=r.cell.radius,
                value=_metrics(r)[self.metric],
                steps=_steps(r.attack),
                others=_others(r.attack),
            )
            for r in cells
            if r.attack is not None and not r.targeted and self.metric in _metrics(r)
        )


def flags_of(
    cells: Iterable[CellResult],
    worst_cases: Mapping[Cell, NDArray[np.float64]],
    protocols: Mapping[str, Protocol],
) -> dict[Cell, tuple[Flag, ...]]:
    """The flags of every model at every radius; a model that raises none is left out.

    Args:
        cells: every cell of the models.
        worst_cases: per query the lowest average precision, (Q,), by worst-case cell.
        protocols: the protocol cards by hash.

    Returns:
        By the worst-case cell, as `Results.worst_cases`; a model that nobody attacked has its clean
        cell.
    """
    models: dict[Cell, list[CellResult]] = {}
    for result in sorted(cells, key=lambda result: result.cell):
        models.setdefault(result.cell.clean, []).append(result)
    found: dict[Cell, tuple[Flag, ...]] = {}
    for model, members in models.items():
        wrong = violations(members, protocols)
        radii = dict.fromkeys(r.cell.eps for r in members if r.cell.is_attacked)
        for key in [replace(model, attack=WORST_CASE, eps=eps) for eps in radii] or [model]:
            column = Column(
                cells=members,
                key=key,
                metric=protocols[model.protocol].metric,
                classes=protocols[model.protocol].classes,
                worst_case=worst_cases.get(key),
                violations=wrong,
            )
            if flags := raised(column.evidence()):
                found[key] = flags
    return found


def _metrics(result: CellResult) -> dict[str, float]:
    """Those that are numbers."""
    return {name: value for name, value in result.metrics.items() if math.isfinite(value)}


def _role(facts: AttackFacts) -> Role:
    if facts.white_box:
        return Role.WHITE_BOX
    if facts.blind:
        return Role.BLIND
    return Role.TRANSFER if facts.transfers else Role.BLACK_BOX


def _steps(facts: AttackFacts) -> float | None:
    steps = facts.parameters.get(STEPS)
    return float(steps) if isinstance(steps, int | float) else None


def _others(facts: AttackFacts) -> str:
    rest = {key: value for key, value in facts.parameters.items() if key != STEPS}
    return json.dumps([facts.name, rest], sort_keys=True, default=str)


def _probed(clean: Mapping[str, float]) -> Probed | None:
    names = (Metric.PROBE_CLEAN, Metric.PROBE_UNBOUNDED, Metric.PROBE_FLOOR)
    if not all(name in clean for name in names):
        return None
    return Probed(*(clean[name] for name in names))
