"""A process of this machine as a hand, spoken to in lines; `worker` is its other end."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import asdict
from typing import IO, Any, Final

from typing_extensions import override

from hashbench.results.store import Failure, Store
from hashbench.runner.engines.contract import (
    Advanced,
    Died,
    Ended,
    Hand,
    NoRoom,
    Ready,
    Tell,
)
from hashbench.runner.plan import Plan
from hashbench.runner.steps import Step

STOPPED_LOOKS: Final = 5
"""How many looks, a second apart, have to find a process stopped: a person may stop it and let it
go on at once."""


def line_of(news: Ready | Advanced | Ended | NoRoom) -> str:
    """One line of JSON, as a worker process says it."""
    fields: dict[str, Any]
    match news:
        case Ready():
            fields = {"event": "ready"}
        case NoRoom(reason):
            fields = {"event": "no room", "reason": reason}
        case Advanced():
            fields = {"event": "advanced", **asdict(news)}
        case Ended(None):
            fields = {"event": "done"}
        case Ended(Failure() as failure):
            fields = {"event": "failed", **asdict(failure)}
    return json.dumps(fields)


def news_of(line: str) -> Ready | Advanced | Ended | NoRoom | None:
    """What a worker process said; `None` for a line that its death cut off."""
    try:
        fields = json.loads(line)
        match fields["event"]:
            case "ready":
                return Ready()
            case "no room":
                return NoRoom(fields["reason"])
            case "advanced":
                return Advanced(fields["done"], fields["total"])
            case "done":
                return Ended(None)
            case "failed":
                return Ended(Failure(fields["reason"], fields["traceback"]))
    except (ValueError, KeyError, TypeError):
        return None
    return None


class WorkerProcess(Hand):
    """One process; when it dies, only the step that it is making is lost."""

    def __init__(self, plan: Plan, store: Store, tell: Tell) -> None:
        """Start it; it lays out the plan by itself."""
        self._tell = tell
        self._stopped = 0
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
        try:
            threading.Thread(target=self._listen, daemon=True).start()
        except RuntimeError as error:  # the system gives no thread: as if it gave no process
            self.kill()
            raise OSError(errno.EAGAIN, str(error)) from None

    @override
    def start(self, step: Step) -> None:
        self.step = step
        self._say(step.key)

    @override
    def kill(self) -> None:
        """End the process at once: what it was making is not stored, and is made again later."""
        self._process.kill()
        self._process.wait()

    @override
    def look(self) -> None:
        self._stopped = self._stopped + 1 if self._is_stopped() else 0
        if self._stopped >= STOPPED_LOOKS:
            self._process.kill()

    def _is_stopped(self) -> bool:
        if not hasattr(os, "waitid"):  # a system that does not tell
            return False
        try:
            options = os.WSTOPPED | os.WNOHANG | os.WNOWAIT
            return os.waitid(os.P_PID, self._process.pid, options) is not None
        except ChildProcessError:  # it has ended
            return False

    @override
    def exit_reason(self) -> str:
        code = self._process.wait()
        if self._stopped >= STOPPED_LOOKS and code == -signal.SIGKILL:
            return "it was stopped, and did not go on"
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
            if (news := news_of(line)) is not None:
                self._tell(self, news)
        self._tell(self, Died())

    @staticmethod
    def _stream(stream: IO[str] | None) -> IO[str]:
        if stream is None:
            raise RuntimeError("the worker was started without pipes")
        return stream
