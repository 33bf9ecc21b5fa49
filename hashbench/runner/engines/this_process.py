"""This process as a hand: a thread that makes one step at a time."""

from __future__ import annotations

import contextlib
import errno
import queue
import threading
import time
import traceback
from collections.abc import Callable

from typing_extensions import override

from hashbench.errors import NoRoomError, WriteError
from hashbench.plugins.blame import told
from hashbench.results.store import Failure, Store
from hashbench.runner.engines.contract import Advanced, Ended, Hand, News, NoRoom, Tell
from hashbench.runner.execute import execute
from hashbench.runner.reporter import Reporter
from hashbench.runner.steps import Step
from hashbench.runner.taking_part import plugins_of

_SECONDS_BETWEEN_NEWS = 0.1


def attempt(step: Step, store: Store, reporter: Reporter) -> Failure | None:
    """Make one step; a failure is returned, so that the rest of the run goes on.

    Raises:
        NoRoomError: nothing can be written any more, so the rest of the run must not go on.
    """
    try:
        execute(step, store, lambda done, total: reporter.advanced(step, done, total))
    except (Exception, SystemExit) as error:  # a plugin may raise anything, and call sys.exit
        if isinstance(error, WriteError) and error.no_room:
            raise NoRoomError.of(error) from error
        return failure_of(step, error)
    return None


def failure_of(step: Step, error: BaseException) -> Failure:
    """Why a step failed, in words for a person, and the traceback for who wrote a plugin."""
    return Failure(
        reason=told(error, *plugins_of(step)),
        traceback="".join(traceback.format_exception(error)),
    )


def outcome(step: Step, store: Store, reporter: Reporter) -> Ended | NoRoom:
    """Make one step; whatever became of it, as news."""
    try:
        return Ended(attempt(step, store, reporter))
    except NoRoomError as error:
        return NoRoom(str(error))


class Relay(Reporter):
    """Passes a step's progress on as news, not more often than a person could see."""

    def __init__(self, tell: Callable[[Advanced], None]) -> None:
        """Pass news to `tell`, which may raise to end the step."""
        self._tell = tell
        self._last = 0.0

    @override
    def advanced(self, step: Step, done: int, total: int) -> None:  # there is one
        """Pass it on, unless the last news is too fresh."""
        now = time.monotonic()
        if now - self._last >= _SECONDS_BETWEEN_NEWS:
            self._last = now
            self._tell(Advanced(done, total))


class _Cancelled(BaseException):
    """The run is over: the step that is being made here is to be dropped."""


class ThisProcess(Hand):
    """A thread of this process; it dies with the run."""

    def __init__(self, store: Store, tell: Tell) -> None:
        """Wait for a step."""
        self._store = store
        self._tell_engine = tell
        self._tasks: queue.Queue[Step | None] = queue.Queue()
        self._over = False
        # No daemon: torch aborts a process that shuts down over a thread at work.
        try:
            threading.Thread(target=self._work).start()
        except RuntimeError as error:  # the system gives no thread
            raise OSError(errno.EAGAIN, str(error)) from None

    @override
    def start(self, step: Step) -> None:
        self.step = step
        self._tasks.put(step)

    @override
    def kill(self) -> None:
        """Drop the step at its next sign of progress."""
        self._over = True
        self._tasks.put(None)

    @override
    def look(self) -> None:
        """Nothing to see: whoever looks would be stopped with it."""

    @override
    def exit_reason(self) -> str:
        """Never asked for: this process cannot outlive itself."""
        return "this process"

    def _work(self) -> None:
        with contextlib.suppress(_Cancelled):
            while (step := self._tasks.get()) is not None:
                self._tell(outcome(step, self._store, Relay(self._tell)))

    def _tell(self, news: News) -> None:
        if self._over:
            raise _Cancelled
        self._tell_engine(self, news)
