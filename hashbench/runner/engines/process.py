"""A process of this machine as a hand, spoken to in lines; `worker` is its other end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from dataclasses import asdict
from typing import IO, Any

from typing_extensions import override

from hashbench.results.store import Failure, Store
from hashbench.runner.engines.contract import Advanced, Died, Ended, Hand, Tell
from hashbench.runner.plan import Plan
from hashbench.runner.steps import Step


def line_of(news: Advanced | Ended) -> str:
    """One line of JSON, as a worker process says it."""
    fields: dict[str, Any]
    match news:
        case Advanced():
            fields = {"event": "advanced", **asdict(news)}
        case Ended(None):
            fields = {"event": "done"}
        case Ended(Failure() as failure):
            fields = {"event": "failed", **asdict(failure)}
    return json.dumps(fields)


def news_of(line: str) -> Advanced | Ended | None:
    """What a worker process said; `None` for a line that its death cut off."""
    try:
        fields = json.loads(line)
        match fields["event"]:
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
    def exit_reason(self) -> str:
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
            if (news := news_of(line)) is not None:
                self._tell(self, news)
        self._tell(self, Died())

    @staticmethod
    def _stream(stream: IO[str] | None) -> IO[str]:
        if stream is None:
            raise RuntimeError("the worker was started without pipes")
        return stream
