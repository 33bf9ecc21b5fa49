"""The models of a plan, trained alone: by one process, or by several together."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from hashbench.characters import counted
from hashbench.defending.contract import WrappingDefense
from hashbench.errors import (
    NoRoomError,
    ProcessesError,
    StepFailedError,
    UsageError,
    WriteError,
)
from hashbench.hashing.together import ALONE, Processes
from hashbench.progress import no_progress
from hashbench.results.claims import Claims
from hashbench.results.store import Store
from hashbench.runner.determinism import exact, fixed_randomness, torch_threads
from hashbench.runner.engines.local import run_here
from hashbench.runner.engines.shared import SharedSchedule
from hashbench.runner.engines.this_process import failure_of
from hashbench.runner.execute import execute
from hashbench.runner.plan import Plan
from hashbench.runner.reporter import Reporter
from hashbench.runner.shared_folder import shared_folder
from hashbench.runner.step_kinds import kind_of
from hashbench.runner.steps import BaseModel, DefendedModel, Step
from hashbench.runner.stored import add_unmade, is_usable

_NO_MORE: Final = b""
"""What the first process says instead of the key of one more model."""


@dataclass(frozen=True)
class Trained:
    """What became of the models of a plan.

    Attributes:
        made: how many models were made now.
        there: how many were there before.
        failed: those that failed, each with the reason.
    """

    made: int
    there: int
    failed: tuple[tuple[Step, str], ...] = ()


def is_trained(step: Step) -> bool:
    """Whether a step trains a model, rather than loading or wrapping one."""
    if isinstance(step, BaseModel):
        return step.checkpoint is None
    return isinstance(step, DefendedModel) and not isinstance(step.defense, WrappingDefense)


def model_steps(plan: Plan) -> list[Step]:
    """The models that a plan makes, each after the one that it is made from."""
    return [step for step in plan.steps if isinstance(step, BaseModel | DefendedModel)]


def missing_models(plan: Plan, store: Store) -> list[Step]:
    """Those that are not in a store and that a cell needs, in order."""
    needed: dict[str, Step] = {}
    for step in model_steps(plan):
        if isinstance(step, DefendedModel):
            for one in (step, *step.rests_on):
                add_unmade(one, needed, lambda made: is_usable(made, store, {}))
    return list(needed.values())


def refuse_untrained(missing: Sequence[Step], suite: str, folder: Path) -> None:
    """Refuse to make models that one process cannot: those that are trained by several.

    Args:
        missing: the steps that would be made.
        suite: its name.
        folder: of the results.

    Raises:
        UsageError: there are some; says what trains them.
    """
    waiting = [step for step in missing if is_trained(step) and step.setting.compute.processes > 1]
    if waiting:
        number = waiting[0].setting.compute.processes
        raise UsageError(
            f"{counted(len(waiting), 'model')} of suite {suite} that {number} processes train "
            f"together {'is' if len(waiting) == 1 else 'are'} not in {folder} yet: first run "
            f"'torchrun --nproc-per-node {number} -m hashbench train' with the same suite and "
            "options, then this again"
        )


def train_models(
    plan: Plan,
    *,
    out: Path,
    reporter: Reporter,
    processes: Processes = ALONE,
    ready: Sequence[Step] | None = None,
) -> Trained:
    """Train what a plan's cells need and a folder does not hold yet.

    The first process alone reads and writes the folder, and is the only one that tells. A training
    that was interrupted goes on from its last finished epoch.

    Args:
        plan: the same in every process.
        out: the folder of the store.
        reporter: told how it goes; that of another process than the first is told nothing.
        processes: that train together.
        ready: what is missing, where the caller knows it already.

    Raises:
        UsageError: the folder cannot be written, the suite asks for other processes, or they have
            laid out other plans.
        StepFailedError: with several processes, a model could not be trained; with one, the others
            are trained all the same.
        NoRoomError: a model cannot be written for lack of space.
        ProcessesError: the processes lost each other.
    """
    if plan.suite.compute.processes != processes.size:
        raise UsageError(
            f"the suite is for {plan.suite.compute.processes} processes (compute.processes), but "
            f"{counted(processes.size, 'process', 'processes')} at work: start 'torchrun "
            f"--nproc-per-node {plan.suite.compute.processes} -m hashbench train'"
        )
    if not processes.first:
        return _follow(plan, processes)
    store = Store(out)
    with shared_folder(store, reporter) as place:
        place.note(plan)
        todo = missing_models(plan, store) if ready is None else list(ready)
        planned = {step.key for step in plan.steps}
        done = {step.key for step in model_steps(plan)} - {step.key for step in todo}
        place.begin(todo, planned=planned, wanted=planned - done)
        there = sum(is_trained(step) for step in model_steps(plan))
        there -= sum(is_trained(step) for step in todo)
        reporter.begin(len(todo), len(model_steps(plan)) - len(todo))
        try:
            if processes.several:
                _lead(todo, store, reporter, processes, place.claims)
                failed: tuple[tuple[Step, str], ...] = ()
            else:
                failed = _alone(plan, todo, store, reporter, place.claims)
        finally:
            reporter.end()
    lost = {step.key for step, _ in failed}
    made = sum(is_trained(step) and step.key not in lost for step in todo)
    return Trained(made, there, failed)


def _alone(
    plan: Plan, todo: Sequence[Step], store: Store, reporter: Reporter, claims: Claims
) -> tuple[tuple[Step, str], ...]:
    stored = {step.key for step in plan.steps} - {step.key for step in todo}
    schedule = SharedSchedule(
        todo,
        stored,
        claims=claims,
        is_there=lambda step: is_usable(step, store, {}),
        reporter=reporter,
    )
    run_here(schedule, store, reporter)
    failed = []
    for step in todo:
        reason = schedule.failed.get(step.key)
        if reason is not None:
            dropped = any(before.key in schedule.failed for before in step.reads)
            failed.append((step, "what it is made from failed" if dropped else reason))
    return tuple(failed)


def _lead(
    todo: Sequence[Step],
    store: Store,
    reporter: Reporter,
    processes: Processes,
    claims: Claims,
) -> None:
    """Make models with the others; this process alone writes them."""
    for step in todo:
        with claims.waiting(step.key, step.label):
            if is_usable(step, store, {}):  # another run, which shares the folder, has made it
                reporter.elsewhere(step)
                continue
            processes.from_first(step.key.encode())
            _led(step, store, reporter)
    processes.from_first(_NO_MORE)


def _led(step: Step, store: Store, reporter: Reporter) -> None:
    reporter.started(step)
    began = time.monotonic()
    try:
        execute(step, store, partial(reporter.advanced, step))
    except WriteError as error:
        if error.no_room:
            raise NoRoomError.of(error) from error
        raise _failed(step, error, store) from error
    except ProcessesError:
        raise  # no fault of the model
    except (Exception, SystemExit) as error:  # a plugin may raise anything
        raise _failed(step, error, store) from error
    reporter.finished(step, time.monotonic() - began)


def _failed(step: Step, error: BaseException, store: Store | None) -> StepFailedError:
    """Say why a model could not be trained, and note it where this process writes."""
    failure = failure_of(step, error)
    if store is not None:
        with contextlib.suppress(OSError):
            store.fail(step.address, failure)
    return StepFailedError(f"{step.label}: {failure.reason}")


def _follow(plan: Plan, processes: Processes) -> Trained:
    """Take part in what the first process leads."""
    steps = {step.key: step for step in model_steps(plan)}
    while key := (processes.from_first(None) or _NO_MORE).decode():
        step = steps.get(key)
        if step is None:
            raise UsageError(
                f"process {processes.rank} has laid out other models than the first one: the "
                "suite, the data, the plugins and hashbench itself have to be the same everywhere"
            )
        if not is_trained(step):
            continue
        compute = step.setting.compute
        with torch_threads(compute.threads), fixed_randomness(step), exact(compute.device):
            try:
                # What it returns, the first process has too, and writes. Nothing is read here.
                kind_of(step).make(step, Store(Path()), no_progress)
            except ProcessesError:
                raise
            except (Exception, SystemExit) as error:
                raise _failed(step, error, None) from error
    return Trained(0, 0)
