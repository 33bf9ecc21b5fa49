"""Which step may start next: the bookkeeping of one run. Starts nothing itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from hashbench.runner.steps import Step


class Schedule:
    """Steps that wait, run, are done, or cannot be done.

    A step waits until everything it reads from is done; when one of those fails it is dropped with
    the same reason, and the rest goes on.
    """

    def __init__(self, steps: Iterable[Step], done: Iterable[str]) -> None:
        """Begin a run.

        Args:
            steps: each after the steps that it reads from.
            done: keys of steps whose artifact is already there.
        """
        self.done: set[str] = set(done)
        self.failed: dict[str, str] = {}
        self.running: set[str] = set()
        self._waiting = {step.key: step for step in steps if step.key not in self.done}

    @property
    def finished(self) -> bool:
        """Nothing waits and nothing runs."""
        return not self._waiting and not self.running

    @property
    def waiting(self) -> int:
        """How many steps were not started yet."""
        return len(self._waiting)

    def next(self, wanted: Callable[[Step], bool] = lambda _: True) -> Step | None:
        """A step that can start now, which then counts as running; `None` if there is none.

        Args:
            wanted: which of them may be chosen.
        """
        for key, step in self._waiting.items():
            if all(before.key in self.done for before in step.reads) and wanted(step):
                del self._waiting[key]
                self.running.add(key)
                return step
        return None

    def put_back(self, step: Step) -> None:
        """A running step was lost: it waits again, before all others."""
        self.running.discard(step.key)
        self._waiting = {step.key: step, **self._waiting}

    def succeed(self, step: Step) -> None:
        """A running step is done."""
        self.running.discard(step.key)
        self.done.add(step.key)

    def fail(self, step: Step, reason: str) -> list[Step]:
        """A running step failed: drop all that needs it.

        Returns:
            The dropped steps, without `step` itself.
        """
        self.running.discard(step.key)
        self.failed[step.key] = reason
        dropped = []
        for key, waiting in list(self._waiting.items()):
            # Steps come after what they read from, so one pass reaches the whole subtree.
            if any(before.key in self.failed for before in waiting.reads):
                del self._waiting[key]
                self.failed[key] = reason
                dropped.append(waiting)
        return dropped
