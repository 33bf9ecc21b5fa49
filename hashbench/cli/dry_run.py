"""What `hashbench run` says before it begins: the models of a plan, and what lies ahead."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Set
from typing import TYPE_CHECKING, Final

from hashbench.characters import counted, shown
from hashbench.progress import duration

if TYPE_CHECKING:
    from hashbench.runner.estimate import Estimate
    from hashbench.runner.plan import Plan, PlannedCell
    from hashbench.runner.steps import Step

WIDTH: Final = 80
"""Columns of what is printed."""

MAX_MODELS: Final = 40
"""How many models are listed: what comes after the total would scroll away."""


def model_lines(plan: Plan, missing: Set[str]) -> Iterator[str]:
    """One entry for each model: what it is, how many attacks, how many of its cells are stored.

    Args:
        plan: what was asked for.
        missing: the keys of the steps that are to be made.

    Yields:
        Lines of at most `WIDTH` columns.
    """
    models: dict[tuple[object, ...], list[PlannedCell]] = {}
    for planned in plan.cells:
        cell = planned.cell
        model = (cell.defense, cell.dataset, cell.loss, cell.backbone, cell.bits, cell.seed)
        models.setdefault(model, []).append(planned)
    for cells in list(models.values())[:MAX_MODELS]:
        yield from wrapped(_model(cells, missing), indent="    ")
    if len(models) > MAX_MODELS:
        yield from wrapped(
            f"... and {len(models) - MAX_MODELS:,} more models; --full lists every step"
        )


def _model(cells: list[PlannedCell], missing: Set[str]) -> str:
    one = cells[0].cell
    attacked = [planned.cell for planned in cells if planned.cell.is_attacked]
    proofs = sum(planned.cell.is_certificate for planned in cells)
    attacks, radii = ({getattr(cell, name) for cell in attacked} for name in ("attack", "eps"))
    what = counted(len(attacks), "attack")
    if len(radii) > 1:
        what += f" at {len(radii)} eps"
    if proofs:
        what += f", {counted(proofs, 'certificate')}"
    stored = sum(planned.scores.key not in missing for planned in cells)
    return (
        f"{one.defense}, {one.dataset}, {one.loss}, {one.backbone}, {one.bits} bits, "
        f"seed {one.seed}: {what}, {stored:,} of {counted(len(cells), 'cell')} stored"
    )


def step_lines(plan: Plan, missing: Set[str]) -> Iterator[str]:
    """Every step on a line of its own, of any length."""
    for step in (*plan.steps, *(one for one in plan.images if one.key in missing)):
        state = "to do " if step.key in missing else "stored"
        yield f"{state}  {shown(step.label)}"


def total(plan: Plan, missing: int, passes: int, seconds: float | None, workers: int) -> str:
    """The sentence that says how much lies ahead.

    Args:
        plan: what was asked for.
        missing: how many steps are to be made.
        passes: what these take.
        seconds: until all are made; `None` where it is not known, as the device is elsewhere.
        workers: how many processes make them.
    """
    size = f"{counted(len(plan.cells), 'cell')}, {counted(len(plan.steps), 'step')}"
    if not missing:
        return f"{size}: all are stored"
    work = counted(passes, "pass", "passes")
    if seconds is None:
        return (
            f"{size}; {counted(missing, 'step')} to do: {work}; how long they take is not known, "
            f"since torch finds no {plan.suite.compute.device} device here"
        )
    return (
        f"{size}; {counted(missing, 'step')} to do: about {duration(seconds)} with "
        f"{counted(workers, 'worker')} ({work})"
    )


def image_lines(missing: Iterable[Step]) -> Iterator[str]:
    """That finished cells are attacked once more, where more images are wanted than were kept."""
    from hashbench.runner.evaluation_steps import MoreImages

    again = sum(isinstance(step, MoreImages) for step in missing)
    if again:
        cells = counted(again, "finished cell keeps", "finished cells keep")
        yield from wrapped(
            f"{cells} fewer images than are asked for: attacked once more for them alone; the "
            "results stay as they are"
        )


def left_out_lines(plan: Plan) -> Iterator[str]:
    """Which attacks are not run at some radii, since they do not work in such balls."""
    for words in plan.left_out:
        yield from wrapped(words)


def download_lines(ahead: Estimate) -> Iterator[str]:
    """Which weights a run would fetch: nothing was fetched for the estimate."""
    for backbone in ahead.downloads:
        yield from wrapped(
            f"{backbone}: the run needs its pretrained weights, and downloads them unless they are "
            "in the cache already"
        )


def wrapped(text: str, indent: str = "") -> list[str]:
    """A text as lines of at most `WIDTH` columns; `indent` opens all but the first."""
    return textwrap.wrap(shown(text), WIDTH, subsequent_indent=indent, break_on_hyphens=False)
