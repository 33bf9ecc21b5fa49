"""The engine `local`: makes the steps in this process, or in several of this machine."""

from __future__ import annotations

import time
from functools import partial

from typing_extensions import override

from hashbench.results.store import Store
from hashbench.runner.engines.contract import Engine, Seat
from hashbench.runner.engines.process import WorkerProcess
from hashbench.runner.engines.schedule import Schedule
from hashbench.runner.engines.team import note_failure, run_by_hands
from hashbench.runner.engines.this_process import ThisProcess, attempt
from hashbench.runner.plan import Plan
from hashbench.runner.reporter import Reporter


class LocalEngine(Engine):
    """This machine: this process, and worker processes beside it."""

    @override
    def make(
        self, plan: Plan, schedule: Schedule, store: Store, reporter: Reporter, workers: int
    ) -> None:
        if workers == 1 or schedule.waiting < 2:
            run_here(schedule, store, reporter)
        else:
            run_in_processes(plan, schedule, store, reporter, workers - 1, take_part=True)


def run_here(schedule: Schedule, store: Store, reporter: Reporter) -> None:
    """Make all steps one after the other, in this thread: an interrupt ends a step at once."""
    while (step := schedule.next()) is not None:
        reporter.started(step)
        began = time.monotonic()
        failure = attempt(step, store, reporter)
        if failure is None:
            schedule.succeed(step)
            reporter.finished(step, time.monotonic() - began)
        else:
            note_failure(step, failure, schedule, store, reporter)


def run_in_processes(
    plan: Plan,
    schedule: Schedule,
    store: Store,
    reporter: Reporter,
    workers: int,
    *,
    take_part: bool = False,
) -> None:
    """Make all steps in several processes of this machine.

    Args:
        plan: what worker processes lay out for themselves.
        schedule: its steps, some done.
        store: where artifacts go.
        reporter: told how it goes.
        workers: how many processes to start.
        take_part: this process makes steps too, which saves the memory of one more process.
    """
    here = [Seat(partial(ThisProcess, store), expendable=False)] if take_part else []
    others = [Seat(partial(WorkerProcess, plan, store))] * min(workers, schedule.waiting)
    run_by_hands(schedule, store, reporter, here + others)
