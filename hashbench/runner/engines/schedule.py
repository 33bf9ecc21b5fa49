"""Which step may start next: the bookkeeping of one run. Starts nothing itself.

Every step is looked at once when it becomes ready and once when it ends, so a run of 100,000 steps
takes as long for each of them as a run of ten.
"""

from __future__ import annotations

import heapq
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
        # Of each waiting step: its place in the order, and how many of those it reads from are not
        # done. Of each of those: who waits for it. A place is used once, so that no two are alike.
        self._place = {key: place for place, key in enumerate(self._waiting)}
        self._first = 0
        self._missing: dict[str, int] = {}
        self._needed_by: dict[str, list[str]] = {}
        self._ready: list[tuple[int, str]] = []
        self._near: dict[str, list[tuple[int, str]]] = {}
        for key, step in self._waiting.items():
            missing = {before.key for before in step.reads} - self.done
            self._missing[key] = len(missing)
            for before in missing:
                self._needed_by.setdefault(before, []).append(key)
            if not missing:
                self._make_ready(key)

    @property
    def finished(self) -> bool:
        """Nothing waits and nothing runs."""
        return not self._waiting and not self.running

    @property
    def waiting(self) -> int:
        """How many steps were not started yet."""
        return len(self._waiting)

    def next(
        self, wanted: Callable[[Step], bool] = lambda _: True, *, near: str | None = None
    ) -> Step | None:
        """A step that can start now, which then counts as running; `None` if there is none.

        Args:
            wanted: which of them may be chosen.
            near: the key of a model: a step on it is chosen before any other.
        """
        found = None
        if near is not None:
            found = self._first_of(self._near.get(near, []), wanted)
        if found is None:
            found = self._first_of(self._ready, wanted)
        if found is None:
            return None
        self.running.add(found)
        return self._waiting.pop(found)

    def put_back(self, step: Step) -> None:
        """A running step was lost: it waits again, before all others."""
        self.running.discard(step.key)
        self._first -= 1
        self._place[step.key] = self._first
        self._waiting[step.key] = step
        self._missing[step.key] = 0
        self._make_ready(step.key)

    def succeed(self, step: Step) -> None:
        """A running step is done."""
        self.running.discard(step.key)
        self.done.add(step.key)
        for key in self._needed_by.pop(step.key, ()):
            self._missing[key] -= 1
            if not self._missing[key] and key in self._waiting:
                self._make_ready(key)

    def fail(self, step: Step, reason: str) -> list[Step]:
        """A running step failed: drop all that needs it.

        Returns:
            The dropped steps in their order, without `step` itself.
        """
        self.running.discard(step.key)
        self.failed[step.key] = reason
        dropped: dict[str, Step] = {}
        lost = [step.key]
        while lost:
            for key in self._needed_by.pop(lost.pop(), ()):
                if key in self._waiting:
                    dropped[key] = self._waiting.pop(key)
                    self.failed[key] = reason
                    lost.append(key)
        return sorted(dropped.values(), key=lambda one: self._place[one.key])

    def _make_ready(self, key: str) -> None:
        entry = (self._place[key], key)
        heapq.heappush(self._ready, entry)
        heapq.heappush(self._near.setdefault(self._waiting[key].model_key, []), entry)

    def _first_of(self, ready: list[tuple[int, str]], wanted: Callable[[Step], bool]) -> str | None:
        """The first ready step of a heap that is wanted, taken off it.

        A step stands in two heaps: what was taken from one of them is passed over in the other.
        """
        refused: list[tuple[int, str]] = []
        found = None
        while ready and found is None:
            entry = heapq.heappop(ready)
            place, key = entry
            if key not in self._waiting or self._place[key] != place:
                continue
            if wanted(self._waiting[key]):
                found = key
            else:
                refused.append(entry)
        for entry in refused:
            heapq.heappush(ready, entry)
        return found
