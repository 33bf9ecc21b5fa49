"""The far end of a Ray hand: an actor that holds a worker's resources and passes its lines on.

The worker itself is the process that the engine `local` starts as well, as a child of the actor. So
a plugin that takes its process down takes no part of Ray with it, and how it ended is known. If the
actor ends, its child does: its standard input has ended.
"""

from __future__ import annotations

import json
import queue
import time
from pathlib import Path
from typing import Final

from hashbench.runner.engines.child import Child

ENDED: Final = "ended"
"""The field of an actor's last line, with the reason; a worker's lines have none of this name."""

_SECONDS_BETWEEN_LOOKS: Final = 1.0


class Bench:
    """One worker process, spoken to from another machine.

    Two of its methods run at the same time: `listen` waits, and `start` never does.
    """

    def __init__(self, suite: str, folder: str, threads: int, cwd: str) -> None:
        """Start the worker; see `Child`. A `cwd` that is not on this machine is not used."""
        self._said: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._child = Child(
            suite, folder, threads, self._said.put, cwd=cwd if Path(cwd).is_dir() else None
        )

    def start(self, key: str) -> None:
        """Begin a step."""
        self._child.say(key)

    def listen(self, seconds: float) -> list[str]:
        """What the worker has said since it was asked last, in order.

        Args:
            seconds: after which an empty list says that the actor is alive, and no more.
        """
        until = time.monotonic() + seconds
        lines: list[str] = []
        while not lines and time.monotonic() < until:
            try:
                said = self._said.get(timeout=_SECONDS_BETWEEN_LOOKS)
            except queue.Empty:
                self._child.look()
                continue
            lines.append(self._text(said))
            while not self._said.empty():
                lines.append(self._text(self._said.get()))
        return lines

    def _text(self, said: str | None) -> str:
        return json.dumps({ENDED: self._child.exit_reason()}) if said is None else said
