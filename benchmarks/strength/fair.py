"""What training costs beside what it brings: the suite `fair` by CPU-seconds, table and plot.

    python benchmarks/strength/fair.py [--seed 0 --seed 1] [--defense cgat --backbone small-cnn]
        [--loss csq] [--only-train] --out fair
    python benchmarks/strength/fair.py --out fair --plot docs/images/fair.png

The first line trains each model in this process, one torch thread, timed by the processor's clock,
so that other work on the machine counts for nothing; then it runs the attacks, as `hashbench run`
does in the same folder. A model that the folder holds already is not trained, nor timed, again. A
base model is trained once for all defenses; its seconds are added to those of every defense that
begins with it or fills its memory from it, which is all but `certified`. The seconds are kept in
OUT/seconds.csv. The second line prints and draws what the folder holds: means over the seeds, mAP
in percent; `attacked` is the mean over the queries of the least that any attack leaves.
"""

from __future__ import annotations

import argparse
import csv
import statistics
import time
from collections import defaultdict
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Final

from matplotlib.figure import Figure

from hashbench import load_results, plugins
from hashbench.plugins.parameters import canonical
from hashbench.progress import no_progress
from hashbench.results.results import Results
from hashbench.results.store import Store
from hashbench.runner.execute import execute
from hashbench.runner.loading import data_of
from hashbench.runner.plan import Plan, make_plan
from hashbench.runner.reporter import Reporter
from hashbench.runner.run import run_plan
from hashbench.runner.setting import Setting
from hashbench.runner.steps import BaseModel, DefendedModel
from hashbench.runner.suite import compose

SECONDS: Final = "seconds.csv"
NO_BASE: Final = "certified"
"""The defense that needs no trained base model."""
MARKS: Final = {"none": "x", "atrdh": "v", "cgat": "o", "saat": "s", "certified": "D"}


@dataclass(frozen=True)
class Cost:
    """What the training of one model took, in CPU-seconds; `defense` is `base` for a base model."""

    backbone: str
    loss: str
    defense: str
    seed: int
    seconds: float


@dataclass(frozen=True)
class Row:
    """One model, the mean of its seeds; mAP in percent, `proven` `None` without a certificate."""

    backbone: str
    loss: str
    defense: str
    seeds: int
    seconds: float
    clean: float
    attacked: float
    proven: float | None


def main() -> None:
    """Train and attack, or say what came out."""
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n", maxsplit=1)[0])
    for name in ("defense", "backbone", "loss", "attack"):
        parser.add_argument(f"--{name}", action="append")
    parser.add_argument("--seed", action="append", type=int)
    parser.add_argument("--plugin", action="append", type=Path)
    parser.add_argument("--only-train", action="store_true")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--plot", type=Path)
    options = parser.parse_args()
    for path in options.plugin or ():
        plugins.use_file(path)
    if options.plot is not None:
        rows = rows_of(load_results(options.out), costs_in(options.out))
        for row in rows:
            print(*(_said(value) for value in astuple(row)), sep="  ")
        drawn(rows, options.plot)
        return
    names = ("defense", "backbone", "loss", "attack", "seed", "plugin")
    wanted = {name: getattr(options, name) for name in names if getattr(options, name)}
    plan = make_plan(compose("fair", wanted))
    train_timed(plan, options.out)
    if not options.only_train:
        run_plan(plan, out=options.out, reporter=Reporter())


def train_timed(plan: Plan, out: Path) -> None:
    """Train the models that a folder lacks, and write down what each took."""
    store = Store(out)
    out.mkdir(parents=True, exist_ok=True)
    for step in plan.steps:
        if not isinstance(step, BaseModel | DefendedModel) or store.has(step.address):
            continue
        data_of(step.setting)  # read before the clock runs
        began = time.process_time()
        execute(step, store, no_progress)
        seconds = time.process_time() - began
        defense = canonical(step.defense) if isinstance(step, DefendedModel) else "base"
        _add(out / SECONDS, _cost(step.setting, defense, seconds))


def costs_in(out: Path) -> dict[tuple[str, str, str, int], float]:
    """CPU-seconds by backbone, loss, defense and seed."""
    with (out / SECONDS).open(newline="") as file:
        return {
            (row["backbone"], row["loss"], row["defense"], int(row["seed"])): float(row["seconds"])
            for row in csv.DictReader(file)
        }


def rows_of(results: Results, costs: dict[tuple[str, str, str, int], float]) -> list[Row]:
    """The models of a folder that have been attacked, each the mean of its seeds."""
    clean = {r.cell: r.metrics for r in results.cells if r.cell.is_clean}
    proven = {r.cell.clean: r.metrics for r in results.cells if r.cell.is_certificate}
    found: dict[tuple[str, str, str], list[tuple[float, float, float, float | None]]]
    found = defaultdict(list)
    for worst, precisions in results.worst_cases.items():
        cell = worst.clean
        model = (cell.backbone, cell.loss, cell.defense)
        seconds = costs[*model, cell.seed]
        if not cell.defense.startswith(NO_BASE):
            seconds += costs[*model[:2], "base", cell.seed]
        sure = proven.get(cell, {}).get("certified_map")
        found[model].append(
            (
                seconds,
                100 * clean[cell]["map"],
                100 * float(precisions.mean()),
                None if sure is None else 100 * sure,
            )
        )
    return [_mean(model, seeds) for model, seeds in sorted(found.items())]


def drawn(rows: list[Row], path: Path) -> None:
    """Attacked mAP over CPU-seconds of training, a line down to what is proven, clean mAP above."""
    figure = Figure(figsize=(7.5, 4.6), layout="constrained")
    axes = figure.subplots()
    for row in sorted(rows, key=lambda row: row.seconds):
        name, _, told = row.defense.partition(":")
        colour = f"C{list(MARKS).index(name)}"
        filled = colour if told else "none"
        label = f"{name}, {_recipe(name, told)}"
        for value, size, alpha, said in (
            (row.attacked, 8, 1.0, label),
            (row.clean, 5, 0.35, "_"),
        ):
            axes.plot(
                row.seconds,
                value,
                MARKS[name],
                color=colour,
                markerfacecolor=filled,
                markersize=size,
                alpha=alpha,
                label=said,
            )
        low = row.attacked if row.proven is None else row.proven
        axes.vlines(row.seconds, low, row.clean, colors=colour, alpha=0.35, linewidth=1)
        if row.proven is not None:
            axes.plot(row.seconds, row.proven, "_", color=colour, markersize=14)
    axes.set_xlim(left=0)
    axes.set_xlabel("CPU-seconds of training, with the base model where it is needed")
    axes.set_ylabel("mAP, %")
    axes.set_title("Large: attacked. Small: clean. Dash: proven.", fontsize=10)
    axes.grid(alpha=0.25)
    axes.legend(fontsize=8, loc="lower right")
    figure.savefig(path, dpi=160)


def _recipe(name: str, told: str) -> str:
    """What the legend says of a recipe: its epochs, where they are told."""
    epochs = next((part for part in told.split(",") if part.startswith("epochs=")), "")
    if name == "none":
        return "base model"
    return (
        f"{epochs.removeprefix('epochs=')} epochs"
        if name == NO_BASE
        else ("schedule of certified" if told else "own recipe")
    )


def _mean(
    model: tuple[str, str, str], seeds: list[tuple[float, float, float, float | None]]
) -> Row:
    seconds, clean, attacked = (
        statistics.fmean(seed[at] or 0.0 for seed in seeds) for at in range(3)
    )
    sure = [seed[3] for seed in seeds if seed[3] is not None]
    proven = statistics.fmean(sure) if len(sure) == len(seeds) else None
    return Row(*model, len(seeds), seconds, clean, attacked, proven)


def _cost(setting: Setting, defense: str, seconds: float) -> Cost:
    return Cost(
        canonical(setting.backbone), canonical(setting.loss), defense, setting.seed, seconds
    )


def _add(path: Path, cost: Cost) -> None:
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.writer(file)
        if new:
            writer.writerow([field.name for field in fields(Cost)])
        writer.writerow(astuple(cost))


def _said(value: object) -> str:
    return f"{value:.1f}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    main()
