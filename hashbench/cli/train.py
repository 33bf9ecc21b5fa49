"""The command `hashbench train`: the models of a suite, by one process or by several together."""

from __future__ import annotations

import inspect
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, get_type_hints

import typer

from hashbench.characters import counted
from hashbench.cli.ended import repeat_interrupts, word_and_code
from hashbench.cli.grid_options import about_suite, check_repeats, only_suite
from hashbench.cli.named import folder_of_results
from hashbench.cli.options import EXIT_FAILED
from hashbench.cli.run import run as run_command
from hashbench.cli.screen import for_notes, image_bar, reporter_on, warn_of_broken
from hashbench.errors import UsageError

if TYPE_CHECKING:
    from hashbench.console import TextConsole
    from hashbench.hashing.together import Processes
    from hashbench.runner.launched import Meeting
    from hashbench.runner.suite import Suite
    from hashbench.runner.train import Trained

_GRID: Final = (
    *("dataset", "loss", "backbone", "bits", "defense", "attack", "eps", "seed"),
    *("root", "checkpoint", "plugin"),
)
_COMPUTE: Final = ("threads", "device", "precision", "processes")
_OPTIONS: Final = ("suite", *_GRID, "out", *_COMPUTE)
"""The options of `hashbench run` that say which models there are, and how they are trained."""


def train(**given: Any) -> None:
    """Train the models of a suite, base and defended; 'hashbench run' then finds them.

    The options are those of 'hashbench run': the same suite and options make the same models.
    Attacks and radii matter too: a defense is trained for the largest radius of L-infinity, and
    some attacks need a model of their own.

    With torchrun several processes, or GPUs, train each model together: the network's passes are
    divided, losses and memories see whole batches, and the weights are those of one process up to
    the order of float sums. How many processes there are is part of what a model is found by.

    For example:

      hashbench train --defense cgat --out mine
      torchrun --nproc-per-node 2 -m hashbench train --out mine
      hashbench run --processes 2 --out mine
    """
    from hashbench.runner.launched import Launch, together

    launch = Launch.of(os.environ)
    with together(launch) as meeting:
        first = launch is None or launch.rank == 0
        _train(given, meeting, launch.size if launch else 1, for_notes() if first else None)


def _train(
    given: dict[str, Any], meeting: Meeting | None, size: int, notes: TextConsole | None
) -> None:
    """Train, as one of so many processes; the one with notes tells.

    Raises:
        Exit: a model failed.
    """
    changes = {name: given[name] for name in _GRID if given[name]}
    check_repeats(changes)
    named = only_suite(given["suite"], sys.argv[1:])
    asked = {name: given[name] for name in _COMPUTE if given[name] is not None}
    changes["compute"] = asked
    out = folder_of_results(given["out"])
    from hashbench.runner.launched import group_of
    from hashbench.runner.resolve import check_device
    from hashbench.runner.suite import compose

    chosen = compose(named, changes)
    if chosen.model:
        raise UsageError("the models of this suite are given: nothing is to be trained")
    if chosen.compute.processes != size:
        chosen = _for_processes(chosen, size, asked)
    check_device(chosen.compute.device)
    try:
        with repeat_interrupts(), group_of(meeting, chosen.compute.device) as processes:
            trained = _planned_and_trained(chosen, named, out, processes, notes)
    except KeyboardInterrupt as interrupt:
        word, code = word_and_code(interrupt)
        if notes is not None:
            notes.say(f"{word}. What is done is kept: the same command goes on from there.")
        os._exit(code)  # at once, as 'hashbench run' does
    if notes is not None and not _say_end(notes, trained, chosen):
        raise typer.Exit(EXIT_FAILED)


def _for_processes(chosen: Suite, size: int, asked: dict[str, Any]) -> Suite:
    """The suite for as many processes as there are, where it does not name their number.

    Raises:
        UsageError: it does, and there are others.
    """
    from hashbench.runner.suite import override

    wanted = chosen.compute.processes
    if wanted == 1 and "processes" not in asked:
        return override(chosen, {"compute": {"processes": size}})
    where = "--processes" if "processes" in asked else "compute.processes of the suite"
    start = (
        "start one, without torchrun"
        if wanted == 1
        else f"start 'torchrun --nproc-per-node {wanted} -m hashbench train'"
    )
    raise UsageError(
        f"{where} is {wanted}, but {counted(size, 'process is', 'processes are')} at work: {start}"
    )


def _planned_and_trained(
    chosen: Suite,
    named: str | None,
    out: Path,
    processes: Processes,
    notes: TextConsole | None,
) -> Trained:
    """Lay out the plan, the first process before the others, and train its models."""
    from hashbench.results.store import Store
    from hashbench.runner.estimate import estimate
    from hashbench.runner.plan import make_plan
    from hashbench.runner.remaining import Forecast
    from hashbench.runner.reporter import Reporter
    from hashbench.runner.train import missing_models, train_models

    if notes is None:
        processes.from_first(None)  # what has to be decoded or fetched, the first process does
        return train_models(make_plan(chosen), out=out, reporter=Reporter(), processes=processes)
    with about_suite(named):
        with image_bar(notes) as progress:
            plan = make_plan(chosen, progress)
        warn_of_broken(notes)
        missing = missing_models(plan, Store(out))
        ahead = estimate(missing)
    processes.from_first(b"planned")
    forecast = Forecast(missing, ahead.by_step, 1, start_up=ahead.start)
    # A step's time is known for one process alone.
    told = reporter_on(notes, None if processes.several else forecast)
    return train_models(plan, out=out, reporter=told, processes=processes, ready=missing)


def _say_end(notes: TextConsole, trained: Trained, chosen: Suite) -> bool:
    """Say what became of the models; whether all are there."""
    there = f", {trained.there:,} {'was' if trained.there == 1 else 'were'} there already"
    number = chosen.compute.processes
    more = f" (with --processes {number}, unless the suite says it)" if number > 1 else ""
    notes.say(
        f"{counted(trained.made, 'model')} trained{there if trained.there else ''}. 'hashbench "
        f"run' with the same suite and options{more} attacks them."
    )
    for step, reason in trained.failed:
        notes.say(f"FAILED {step.label}: {reason}", style="red")
    return not trained.failed


_hints = get_type_hints(run_command, include_extras=True)
_taken = {
    name: parameter.replace(annotation=_hints[name])
    for name, parameter in inspect.signature(run_command).parameters.items()
    if name in _OPTIONS
}
# Their words, names and defaults stand in one place. typer reads the signature of a function.
train.__signature__ = inspect.Signature(list(_taken.values()))  # type: ignore[attr-defined]
train.__annotations__ = {name: _hints[name] for name in _taken}
