"""The engine `local`: makes the steps in this process, or in several of this machine."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from typing import Final

from typing_extensions import override

from hashbench.errors import UsageError
from hashbench.results.store import Store
from hashbench.runner.engines.cards import cards_of, check_cards
from hashbench.runner.engines.contract import Engine, LaidOut, Resources, Seat
from hashbench.runner.engines.process import WorkerProcess
from hashbench.runner.engines.schedule import Schedule
from hashbench.runner.engines.team import note_failure, run_by_hands
from hashbench.runner.engines.this_process import ThisProcess, attempt
from hashbench.runner.plan import Plan
from hashbench.runner.reporter import Reporter
from hashbench.runner.suite import Suite

_SECONDS_BETWEEN_LOOKS: Final = 0.5


class LocalEngine(Engine):
    """This machine: this process, and worker processes beside it."""

    @override
    def check(self, suite: Suite, resources: Resources) -> None:
        if resources.address is not None:
            raise UsageError(
                "address: the engine 'local' works on this machine alone; name --engine ray"
            )
        check_cards(suite, resources.devices, resources.workers)
        super().check(suite, resources)

    @override
    def make(
        self,
        plan: Plan,
        schedule: Schedule,
        store: Store,
        reporter: Reporter,
        resources: Resources,
    ) -> None:
        workers = resources.workers
        if resources.devices:
            # A process shows itself one GPU before it begins, so this one makes no steps.
            cards = cards_of(resources.devices)
            run_in_processes(plan, schedule, store, reporter, workers, cards=cards)
        elif workers == 1 or schedule.waiting < 2:
            run_here(schedule, store, reporter)
        else:
            run_in_processes(plan, schedule, store, reporter, workers - 1, take_part=True)


def run_here(schedule: Schedule, store: Store, reporter: Reporter) -> None:
    """Make all steps one after the other, in this thread: an interrupt ends a step at once."""
    while not schedule.finished:
        step = schedule.next()
        if step is None:  # all that could be made is being made by other runs
            time.sleep(_SECONDS_BETWEEN_LOOKS)
            continue
        reporter.started(step)
        began = time.monotonic()
        failure = attempt(step, store, reporter)
        if failure is None:
            schedule.succeed(step)
            reporter.finished(step, time.monotonic() - began)
        else:
            note_failure(step, failure, schedule, store, reporter)


def run_in_processes(
    plan: LaidOut,
    schedule: Schedule,
    store: Store,
    reporter: Reporter,
    workers: int,
    *,
    take_part: bool = False,
    cards: Sequence[str] = (),
) -> None:
    """Make all steps in several processes of this machine.

    Args:
        plan: what worker processes lay out for themselves.
        schedule: its steps, some done.
        store: where artifacts go.
        reporter: told how it goes.
        workers: how many processes to start.
        take_part: this process makes steps too, which saves the memory of one more process.
        cards: the GPUs that processes see, one each, in turn; none leaves all of them visible.
    """
    here = [Seat(partial(ThisProcess, store), expendable=False)] if take_part else []
    others = [
        Seat(partial(WorkerProcess, plan, store, card=cards[place % len(cards)] if cards else None))
        for place in range(min(workers, schedule.waiting))
    ]
    run_by_hands(schedule, store, reporter, here + others)
