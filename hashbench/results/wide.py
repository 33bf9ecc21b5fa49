"""One row per model: the cells of a model side by side, as people compare them. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hashbench.data.protocol import Protocol
from hashbench.eps import Eps
from hashbench.results.cell import WORST_CASE, Cell, CellResult, Status
from hashbench.results.flags import Flag
from hashbench.results.intervals import intervals, over_seeds
from hashbench.results.metrics import Metric, certified, spoken, toward_targets

NAMES: Final = ("dataset", "loss", "backbone", "bits", "eps", "defense", "seeds")
"""The first columns of a wide frame."""

_CONTROL: Final = "noise"


@dataclass(frozen=True)
class WideRow:
    """One model at one radius; numbers are percent, means over its seeds, NaN where one lacks.

    Attributes:
        cell: its clean cell under its first seed, with the radius as `eps`.
        seeds: those that it was asked for.
        clean: mAP without an attack.
        attacked: mAP by attack; of a targeted one its t-mAP, by `NAME (t-mAP)`.
        worst_case: mean over the queries of the lowest average precision over its own untargeted
            attacks; NaN where one of them failed or was not run, or where there is none.
        chance: mAP of a random order.
        certified: mAP that is proven at this radius; NaN where nothing is, `None` where nobody
            asked for it.
        flags: codes of the flags that are up in any seed.
        minima: what `worst_case` is the mean of, in `[0, 1]`: per query the mean over the seeds,
            float64 (Q,); empty where it is NaN.
    """

    cell: Cell
    seeds: tuple[int, ...]
    clean: float
    attacked: Mapping[str, float]
    worst_case: float
    chance: float
    flags: tuple[str, ...]
    minima: NDArray[np.float64] = field(default_factory=lambda: np.empty(0), compare=False)
    certified: float | None = None


def wide_rows(
    cells: Iterable[CellResult],
    worst_cases: Mapping[Cell, NDArray[np.float64]],
    flags: Mapping[Cell, tuple[Flag, ...]],
    protocols: Mapping[str, Protocol],
) -> list[WideRow]:
    """The rows, table by table; in a table the highest worst case first, flagged models last.

    Args:
        cells: of any models.
        worst_cases: as of `Results`.
        flags: as of `Results`.
        protocols: by hash.
    """
    clean: dict[Cell, dict[int, CellResult]] = {}
    attacked: dict[tuple[Cell, str], dict[int, dict[str, CellResult]]] = {}
    proven: dict[Cell, dict[Eps, dict[int, CellResult]]] = {}
    for result in cells:
        cell = result.cell
        model = replace(cell.clean, seed=0)
        if cell.is_certificate:
            proven.setdefault(model, {}).setdefault(cell.radius, {})[cell.seed] = result
        elif cell.is_clean:
            clean.setdefault(model, {})[cell.seed] = result
        else:
            at = attacked.setdefault((model, cell.eps), {})
            at.setdefault(cell.seed, {})[cell.attack] = result
    for model, radii in proven.items():
        # One that is proven at a radius where nobody attacks it has a row of that radius too.
        there = {replace(of, eps=eps).radius for of, eps in attacked if of == model}
        for radius in radii.keys() - there:
            attacked[model, str(radius)] = {seed: {} for seed in radii[radius]}
    for model in clean.keys() - {of for of, _ in attacked}:
        attacked[model, "0"] = {seed: {} for seed in clean[model]}
    rows = []
    for (model, eps), by_seed in attacked.items():
        seeds = tuple(sorted(by_seed))
        metric = protocols[model.protocol].metric
        keys = [replace(model, attack=WORST_CASE, eps=eps, seed=seed) for seed in seeds]
        own = [clean.get(model, {}).get(seed) for seed in seeds]
        judged = [*keys, *(replace(model, seed=seed) for seed in seeds)]
        rows.append(
            WideRow(
                cell=replace(model, eps=eps, seed=seeds[0]),
                seeds=seeds,
                clean=_mean(_value(result, metric) for result in own),
                attacked=_attacked(by_seed, metric),
                worst_case=_mean(
                    float(worst_cases[key].mean()) if key in worst_cases else math.nan
                    for key in keys
                ),
                certified=_certified(proven.get(model, {}), replace(model, eps=eps), seeds, metric),
                chance=_mean(_value(result, Metric.CHANCE) for result in own),
                flags=tuple(
                    dict.fromkeys(str(flag.code) for key in judged for flag in flags.get(key, ()))
                ),
                minima=over_seeds([worst_cases[key] for key in keys if key in worst_cases])
                if all(key in worst_cases for key in keys)
                else np.empty(0),
            )
        )
    return sorted(rows, key=_order)


def _certified(
    proven: Mapping[Eps, Mapping[int, CellResult]], at: Cell, seeds: Sequence[int], metric: str
) -> float | None:
    found = proven.get(at.radius)
    if found is None:
        return None
    return _mean(_value(found.get(seed), certified(metric)) for seed in seeds)


def _attacked(by_seed: Mapping[int, Mapping[str, CellResult]], metric: str) -> dict[str, float]:
    targeted = {
        attack: result.targeted for one in by_seed.values() for attack, result in one.items()
    }
    found = {}
    for attack in sorted(targeted, key=_place):
        name = toward_targets(metric) if targeted[attack] else metric
        column = f"{attack} ({spoken(name)})" if targeted[attack] else attack
        found[column] = _mean(_value(one.get(attack), name) for one in by_seed.values())
    return found


def _value(result: CellResult | None, metric: str) -> float:
    done = result is not None and result.status is Status.DONE
    return result.metrics.get(metric, math.nan) if result is not None and done else math.nan


def _mean(shares: Iterable[float]) -> float:
    """Of all of them in percent: one that lacks makes it NaN."""
    return 100 * fmean(shares)


def _place(attack: str) -> tuple[bool, str]:
    """The control stands first."""
    return (attack.partition(":")[0] != _CONTROL, attack)


def _order(row: WideRow) -> tuple[Any, ...]:
    cell = row.cell
    table = (cell.dataset, cell.loss, cell.backbone, cell.bits, cell.radius)
    worst = math.inf if math.isnan(row.worst_case) else -row.worst_case
    return (*table, cell.eps, cell.protocol, cell.training, bool(row.flags), worst, cell.defense)


def columns_of(rows: Sequence[WideRow]) -> dict[str, list[Any]]:
    """The rows as columns by their headings."""
    attacks = sorted({attack for row in rows for attack in row.attacked}, key=_place)
    columns: dict[str, list[Any]] = {
        name: [getattr(row.cell, name) for row in rows] for name in NAMES if name != "seeds"
    }
    columns["seeds"] = [len(row.seeds) for row in rows]
    columns["clean"] = [row.clean for row in rows]
    for attack in attacks:
        columns[attack] = [row.attacked.get(attack, math.nan) for row in rows]
    columns["worst case"] = [row.worst_case for row in rows]
    if any(row.certified is not None for row in rows):
        columns["certified"] = [
            math.nan if row.certified is None else row.certified for row in rows
        ]
    columns["chance"] = [row.chance for row in rows]
    columns["flagged"] = [", ".join(row.flags) for row in rows]
    columns["protocol"] = [row.cell.protocol[:12] for row in rows]
    columns["training"] = [row.cell.training[:12] for row in rows]
    bounds = intervals([row.minima for row in rows])
    columns["worst case low"] = [math.nan if one is None else 100 * one.low for one in bounds]
    columns["worst case high"] = [math.nan if one is None else 100 * one.high for one in bounds]
    return columns
