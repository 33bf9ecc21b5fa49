"""Several hands that make the steps of one schedule."""

from __future__ import annotations

import contextlib
import queue
import time
from collections.abc import Sequence
from typing import Final

from hashbench.errors import NoRoomError
from hashbench.results.store import Failure, Store
from hashbench.results.unfinished import UnfinishedTraining
from hashbench.runner.engines.contract import (
    Advanced,
    Died,
    Ended,
    Hand,
    News,
    NoRoom,
    Ready,
    Seat,
)
from hashbench.runner.engines.schedule import Schedule
from hashbench.runner.evaluation_steps import MoreImages
from hashbench.runner.reporter import Reporter
from hashbench.runner.steps import Step
from hashbench.runner.stored import is_usable, places_of

MOST_TRIES: Final = 3
"""How often a step is tried that hands die of. One that needs too much memory kills each of them;
what a person or the system kills once does not."""

MOST_FALSE_STARTS: Final = 10
"""How many hands in a row may die before they have begun, until no more are hired."""

_SECONDS_BETWEEN_LOOKS: Final = 1.0


def run_by_hands(
    schedule: Schedule, store: Store, reporter: Reporter, seats: Sequence[Seat]
) -> None:
    """Make all steps, as many at a time as there are seats.

    When a hand dies (killed for memory, say), another takes its seat, and the step that it was
    making is tried again, in a seat whose death would leave the run alive; a training goes on from
    its last finished epoch. A step that hands die of three times without coming any further fails.

    Args:
        schedule: the steps, some done.
        store: where failures are noted.
        reporter: told how it goes.
        seats: where hands work; each is hired once there is a step for it.

    Raises:
        NoRoomError: an artifact cannot be written for lack of space.
    """
    team = _Team(schedule, store, reporter, seats)
    try:
        team.work()
    finally:
        team.dismiss()


def note_failure(
    step: Step, failure: Failure, schedule: Schedule, store: Store, reporter: Reporter
) -> None:
    """Record why a step failed, and drop what needs it.

    That of a part is noted as of the whole, which a plan names: so a report finds it.
    """
    noted = step if step.whole is None else step.whole
    with contextlib.suppress(OSError):  # the reporter tells, and the run goes on
        store.fail(noted.address, failure)
    dropped = schedule.fail(step, failure.reason)
    reporter.failed(step, failure.reason, len(dropped))


class _Team:
    """Who sits where, and what is known of the steps that hands died of."""

    def __init__(
        self, schedule: Schedule, store: Store, reporter: Reporter, seats: Sequence[Seat]
    ) -> None:
        self._schedule = schedule
        self._store = store
        self._reporter = reporter
        self._seats = seats
        self._hands: list[Hand | None] = [None for _ in seats]
        self._models: dict[int, str] = {}  # of each seat, the model that it worked on last
        self._closed: set[int] = set()
        self._news: queue.Queue[tuple[Hand, News]] = queue.Queue()
        self._began: dict[str, float] = {}
        self._deaths: dict[str, tuple[object, int]] = {}
        self._false_starts = 0
        self._last_reason = ""

    def work(self) -> None:
        """Until nothing waits and nothing runs."""
        looked = time.monotonic()
        while not self._schedule.finished:
            self._fill()
            if not self._schedule.running:
                self._give_up()
                continue
            if time.monotonic() - looked >= _SECONDS_BETWEEN_LOOKS:
                looked = time.monotonic()
                for each in self._hands:
                    if each is not None:
                        each.look()
            with contextlib.suppress(queue.Empty):
                self._hear(*self._news.get(timeout=_SECONDS_BETWEEN_LOOKS))

    def dismiss(self) -> None:
        """End all hands."""
        for each in self._hands:
            if each is not None:
                each.kill()

    def _fill(self) -> None:
        """Give every free hand a step, and every empty seat a hand where there is one for it."""
        idle = [at for at, hand in enumerate(self._hands) if hand is not None and not hand.step]
        empty = [at for at, hand in enumerate(self._hands) if hand is None]
        for at in idle + empty:  # a new hand takes time to start
            if at in self._closed and self._hands[at] is None:
                continue
            wanted = self._safe if self._here(at) else lambda _: True
            step = self._schedule.next(wanted, near=self._models.get(at))
            if step is None:
                continue
            hand = self._hands[at]
            try:
                hand = hand or self._seats[at].hire(lambda *news: self._news.put(news))
            except OSError as error:
                self._false_start(step, error.strerror or str(error))
                continue
            self._hands[at] = hand
            self._models[at] = step.model_key
            hand.start(step)
            self._began[step.key] = time.monotonic()
            self._reporter.started(step)

    def _here(self, seat: int) -> bool:
        return not self._seats[seat].expendable

    def _safe(self, step: Step) -> bool:
        """No hand has died of it."""
        return step.key not in self._deaths

    def _hear(self, hand: Hand, news: News) -> None:
        at = hand.step
        if not hand.begun and not isinstance(news, Died):
            hand.begun = True
            if self._seats[self._hands.index(hand)].expendable:
                self._false_starts = 0
        match news:
            case Ready():
                pass
            case Advanced(done, total) if at is not None:
                self._reporter.advanced(at, done, total)
            case Ended(failure) if at is not None:
                hand.step = None
                if failure is None:
                    self._succeed(at)
                else:
                    self._fail(at, failure.reason, failure)
            case NoRoom(reason):
                raise NoRoomError(reason)
            case Died():
                self._hands[self._hands.index(hand)] = None
                reason = hand.exit_reason()
                for place in () if at is None else places_of(at):
                    self._store.sweep_one(place)
                if at is not None and self._was_made(at):
                    self._succeed(at)
                elif at is not None and hand.begun:
                    self._died_of(at, reason)
                elif at is not None:
                    self._reporter.again(at, reason, 0, MOST_TRIES)
                    self._false_start(at, reason)

    def _succeed(self, step: Step) -> None:
        self._schedule.succeed(step)
        self._reporter.finished(step, time.monotonic() - self._began[step.key])

    def _was_made(self, step: Step) -> bool:
        """Whether a hand died after its artifact was written, and before it could say so.

        Of images it is not known: fewer than are wanted lie at the same place.
        """
        return not isinstance(step, MoreImages) and is_usable(step, self._store, {})

    def _died_of(self, step: Step, reason: str) -> None:
        """Try a step again, unless hands died of it too often without coming any further."""
        place = UnfinishedTraining(self._store.folder, step.key).mark()
        before, count = self._deaths.get(step.key, (place, 0))
        count = count + 1 if place == before else 1
        self._deaths[step.key] = (place, count)
        if count < MOST_TRIES:
            self._reporter.again(step, reason, count, MOST_TRIES)
            self._schedule.put_back(step)
        else:
            self._fail(step, f"its process ended unexpectedly, in each of {count} tries ({reason})")

    def _false_start(self, step: Step, reason: str) -> None:
        """A hand could not begin, which is not the step's fault; nor may it go on for ever."""
        self._schedule.put_back(step)
        self._last_reason = reason
        self._false_starts += 1
        if self._false_starts >= MOST_FALSE_STARTS:
            self._closed |= {at for at, seat in enumerate(self._seats) if seat.expendable}

    def _give_up(self) -> None:
        """Nobody can make what waits: fail it, a step at a time."""
        expendable = {at for at, seat in enumerate(self._seats) if seat.expendable}
        if expendable - self._closed:
            return  # one of them was just lost; the next round hires again
        step = self._schedule.next()
        if step is not None:
            self._fail(step, f"no process could be started for it ({self._last_reason})")

    def _fail(self, step: Step, reason: str, failure: Failure | None = None) -> None:
        note_failure(step, failure or Failure(reason), self._schedule, self._store, self._reporter)
