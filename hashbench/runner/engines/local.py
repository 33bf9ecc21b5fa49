"""Engines: make the steps of a plan, in this process or in several on this machine.

Every engine ends with the same artifacts: what a step makes depends on its key alone.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import IO, Any

from hashbench.errors import HashbenchError
from hashbench.results.store import Failure, Store
from hashbench.runner.engines.schedule import Schedule
from hashbench.runner.execute import execute
from hashbench.runner.plan import Plan
from hashbench.runner.reporter import Reporter
from hashbench.runner.steps import Step

_SECONDS_BETWEEN_NEWS = 0.1


def run_here(schedule: Schedule, store: Store, reporter: Reporter) -> None:
    """Make all steps one after the other, in this process."""
    while (step := schedule.next()) is not None:
        reporter.started(step)
        began = time.monotonic()
        failure = attempt(step, store, reporter)
        if failure is None:
            schedule.succeed(step)
            reporter.finished(step, time.monotonic() - began)
        else:
            note_failure(step, failure, schedule, store, reporter)


def attempt(step: Step, store: Store, reporter: Reporter) -> Failure | None:
    """Make one step; a failure is returned, so that the rest of the run goes on."""
    try:
        execute(step, store, lambda done, total: reporter.advanced(step, done, total))
    except (Exception, SystemExit) as error:  # a plugin may raise anything, and call sys.exit
        # Our own errors are written for people; of any other the type is half of the message.
        text = " ".join(str(error).split())
        known = isinstance(error, HashbenchError)
        return Failure(
            reason=text if known else f"{type(error).__name__}: {text}".rstrip(": "),
            traceback="".join(traceback.format_exception(error)),
        )
    return None


def note_failure(
    step: Step, failure: Failure, schedule: Schedule, store: Store, reporter: Reporter
) -> None:
    """Record why a step failed, and drop what needs it."""
    with contextlib.suppress(OSError):  # a full disk, say: the reporter tells, and the run goes on
        store.fail(step.address, failure)
    dropped = schedule.fail(step, failure.reason)
    reporter.failed(step, failure.reason, len(dropped))


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

    A process that dies (killed for memory, say) fails the step it was at; another takes its place.

    Args:
        plan: what worker processes lay out for themselves.
        schedule: its steps, some done.
        store: where artifacts go.
        reporter: told how it goes.
        workers: how many processes to start.
        take_part: this process makes steps too, so that one process's memory less is needed.
    """
    by_key = {step.key: step for step in plan.steps}
    events: queue.Queue[_Event] = queue.Queue()
    team: dict[int, _Worker | _Here] = {}
    began: dict[str, float] = {}
    names = iter(range(1_000_000))
    try:
        while not schedule.finished:
            idle = [worker for worker in team.values() if worker.step is None]
            whole = len(team) == workers + take_part
            while (idle or not whole) and (step := schedule.next()) is not None:
                if not idle:
                    name = next(names)
                    here = take_part and not any(isinstance(one, _Here) for one in team.values())
                    team[name] = (
                        _Here(name, store, events) if here else _Worker(name, plan, store, events)
                    )
                    whole = len(team) == workers + take_part
                    idle = [team[name]]
                idle.pop().start(step)
                began[step.key] = time.monotonic()
                reporter.started(step)
            event = events.get()
            worker = team[event.worker]
            step = by_key.get(str(event.fields.get("key"))) or worker.step
            match event.fields["event"]:
                case "advanced" if step is not None:
                    reporter.advanced(step, event.fields["done"], event.fields["total"])
                case "done" if step is not None:
                    worker.step = None
                    schedule.succeed(step)
                    reporter.finished(step, time.monotonic() - began[step.key])
                case "failed" if step is not None:
                    worker.step = None
                    failure = Failure(event.fields["reason"], event.fields["traceback"])
                    note_failure(step, failure, schedule, store, reporter)
                case "died":
                    del team[event.worker]
                    if worker.step is not None:
                        failure = Failure(f"its process ended unexpectedly ({worker.epitaph()})")
                        note_failure(worker.step, failure, schedule, store, reporter)
    finally:
        for worker in team.values():
            worker.kill()


@dataclass(frozen=True)
class _Event:
    """One line that a worker said."""

    worker: int
    fields: dict[str, Any]


class Relay(Reporter):
    """Passes a step's progress on as events, not more often than a person could see."""

    def __init__(self, tell: Callable[[dict[str, Any]], None]) -> None:
        """Pass events to `tell`, which may raise to end the step."""
        self._tell = tell
        self._last = 0.0

    def advanced(self, step: Step, done: int, total: int) -> None:
        """Pass it on, unless the last news is too fresh."""
        now = time.monotonic()
        if now - self._last >= _SECONDS_BETWEEN_NEWS:
            self._last = now
            self._tell({"event": "advanced", "key": step.key, "done": done, "total": total})


def outcome(step: Step, failure: Failure | None) -> dict[str, Any]:
    """The event that says how a step ended."""
    if failure is None:
        return {"event": "done", "key": step.key}
    return {"event": "failed", "key": step.key, **asdict(failure)}


class _Cancelled(BaseException):
    """The run is over: the step that is being made here is to be dropped."""


class _Here:
    """This process as a member of the team: a thread that makes one step at a time."""

    def __init__(self, name: int, store: Store, events: queue.Queue[_Event]) -> None:
        self.step: Step | None = None
        self._name = name
        self._store = store
        self._events = events
        self._tasks: queue.Queue[Step | None] = queue.Queue()
        self._over = False
        # No daemon: torch aborts a process that shuts down over a thread at work.
        threading.Thread(target=self._work).start()

    def start(self, step: Step) -> None:
        """Begin a step."""
        self.step = step
        self._tasks.put(step)

    def kill(self) -> None:
        """Drop the step at its next sign of progress."""
        self._over = True
        self._tasks.put(None)

    def epitaph(self) -> str:
        """Never asked for: this process cannot outlive itself."""
        return "this process"

    def _work(self) -> None:
        with contextlib.suppress(_Cancelled):
            while (step := self._tasks.get()) is not None:
                failure = attempt(step, self._store, Relay(self._tell))
                self._tell(outcome(step, failure))

    def _tell(self, fields: dict[str, Any]) -> None:
        if self._over:
            raise _Cancelled
        self._events.put(_Event(self._name, fields))


class _Worker:
    """One process, spoken to in lines of JSON (see `hashbench.runner.engines.worker`)."""

    def __init__(self, name: int, plan: Plan, store: Store, events: queue.Queue[_Event]) -> None:
        self.step: Step | None = None
        self._name = name
        self._events = events
        threads = str(plan.suite.compute.threads)
        # -P: the current folder must not shadow the installed package.
        self._process = subprocess.Popen(  # noqa: S603 - our own module
            [
                sys.executable,
                "-P",
                "-m",
                "hashbench.runner.engines.worker",
                str(store.folder.resolve()),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads},
            text=True,
        )
        self._say(json.dumps(plan.suite.to_plain()))
        threading.Thread(target=self._listen, daemon=True).start()

    def start(self, step: Step) -> None:
        """Begin a step."""
        self.step = step
        self._say(step.key)

    def kill(self) -> None:
        """End the process at once: what it was at is not in the store, and will be made again."""
        self._process.kill()
        self._process.wait()

    def epitaph(self) -> str:
        """How the process ended."""
        code = self._process.wait()
        return f"signal {-code}: out of memory?" if code < 0 else f"exit code {code}"

    def _say(self, line: str) -> None:
        stream = self._stream(self._process.stdin)
        try:
            stream.write(line + "\n")
            stream.flush()
        except OSError:
            pass  # it died; the listener reports that

    def _listen(self) -> None:
        for line in self._stream(self._process.stdout):
            try:
                fields = json.loads(line)
            except ValueError:
                continue  # cut off by the process's death, of which the end of the stream tells
            self._events.put(_Event(self._name, fields))
        self._events.put(_Event(self._name, {"event": "died"}))

    @staticmethod
    def _stream(stream: IO[str] | None) -> IO[str]:
        if stream is None:
            raise RuntimeError("the worker was started without pipes")
        return stream
