"""A worker process: told the suite, then keys of steps; answers in lines of JSON.

It lays out the plan by itself, which comes out the same, so that nothing but text passes between
processes. Not for people: `hashbench run --workers N` starts it.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading
import time
from pathlib import Path
from typing import IO, Any

from hashbench.runner.engine import attempt
from hashbench.runner.plan import make_plan
from hashbench.runner.progress import Reporter
from hashbench.runner.steps import Step
from hashbench.runner.store import Store
from hashbench.runner.suite import from_plain

_SECONDS_BETWEEN_NEWS = 0.1


def main() -> None:
    """Work until the one who asked is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends us
    voice = _own_voice()
    suite_line = sys.stdin.readline()
    tasks: queue.Queue[str] = queue.Queue()
    threading.Thread(target=_listen, args=(tasks,), daemon=True).start()
    plan = make_plan(from_plain(json.loads(suite_line), "the suite"))
    steps = {step.key: step for step in plan.steps}
    store = Store(Path(sys.argv[1]))
    while True:
        key = tasks.get()
        failure = attempt(steps[key], store, _Teller(voice))
        if failure is None:
            _tell(voice, {"event": "done", "key": key})
        else:
            _tell(
                voice,
                {
                    "event": "failed",
                    "key": key,
                    "reason": failure.reason,
                    "traceback": failure.traceback,
                },
            )


class _Teller(Reporter):
    """Passes progress on, not more often than a person could see."""

    def __init__(self, voice: IO[str]) -> None:
        self._voice = voice
        self._last = 0.0

    def advanced(self, step: Step, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self._last >= _SECONDS_BETWEEN_NEWS:
            self._last = now
            _tell(self._voice, {"event": "advanced", "key": step.key, "done": done, "total": total})


def _listen(tasks: queue.Queue[str]) -> None:
    for line in sys.stdin:
        tasks.put(line.strip())
    # The parent is gone, killed perhaps: a half-made step would only be made again.
    os._exit(0)


def _own_voice() -> IO[str]:
    """Standard output for us alone: what a plugin prints goes to standard error."""
    voice = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return voice


def _tell(voice: IO[str], event: dict[str, Any]) -> None:
    voice.write(json.dumps(event) + "\n")
    voice.flush()


if __name__ == "__main__":
    main()
