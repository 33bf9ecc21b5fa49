"""Several hands that make the steps of one schedule."""

from __future__ import annotations

import contextlib
import queue
import time
from collections.abc import Callable, Sequence

from hashbench.results.store import Failure, Store
from hashbench.runner.engines.contract import Advanced, Died, Ended, Hand, News, Tell
from hashbench.runner.engines.schedule import Schedule
from hashbench.runner.reporter import Reporter
from hashbench.runner.steps import Step


def run_by_hands(
    schedule: Schedule,
    store: Store,
    reporter: Reporter,
    seats: Sequence[Callable[[Tell], Hand]],
) -> None:
    """Make all steps, as many at a time as there are seats.

    A hand that dies (killed for memory, say) fails the step it was making; another takes its seat.

    Args:
        schedule: the steps, some done.
        store: where failures are noted.
        reporter: told how it goes.
        seats: each makes the hand that works there, once there is a step for it.
    """
    news_queue: queue.Queue[tuple[Hand, News]] = queue.Queue()
    team: list[Hand | None] = [None for _ in seats]
    began: dict[str, float] = {}

    def tell(hand: Hand, news: News) -> None:
        news_queue.put((hand, news))

    try:
        while not schedule.finished:
            while (seat := _free(team)) is not None and (step := schedule.next()) is not None:
                hand = team[seat] or seats[seat](tell)
                team[seat] = hand
                hand.start(step)
                began[step.key] = time.monotonic()
                reporter.started(step)
            hand, news = news_queue.get()
            at = hand.step
            match news:
                case Advanced(done, total) if at is not None:
                    reporter.advanced(at, done, total)
                case Ended(failure) if at is not None:
                    hand.step = None
                    if failure is None:
                        schedule.succeed(at)
                        reporter.finished(at, time.monotonic() - began[at.key])
                    else:
                        note_failure(at, failure, schedule, store, reporter)
                case Died():
                    team[team.index(hand)] = None
                    if at is not None:
                        failure = Failure(f"its process ended unexpectedly ({hand.exit_reason()})")
                        note_failure(at, failure, schedule, store, reporter)
    finally:
        for each in team:
            if each is not None:
                each.kill()


def note_failure(
    step: Step, failure: Failure, schedule: Schedule, store: Store, reporter: Reporter
) -> None:
    """Record why a step failed, and drop what needs it."""
    with contextlib.suppress(OSError):  # a full disk, say: the reporter tells, and the run goes on
        store.fail(step.address, failure)
    dropped = schedule.fail(step, failure.reason)
    reporter.failed(step, failure.reason, len(dropped))


def _free(team: Sequence[Hand | None]) -> int | None:
    """The seat of an idle hand, or else an empty one: a new hand takes time to start."""
    idle = [seat for seat, hand in enumerate(team) if hand is not None and hand.step is None]
    empty = [seat for seat, hand in enumerate(team) if hand is None]
    return next(iter(idle + empty), None)
