"""How long the rest of a run will take: the estimate, corrected by what was measured in it."""

from __future__ import annotations

import heapq
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from hashbench.runner.evaluation_steps import AdversarialCodes, TrainedAttacker
from hashbench.runner.steps import BaseModel, DatabaseCodes, DefendedModel, Step, StepOnModel

LEAST: Final = 0.05
"""Seconds that every step takes: it reads what it is made from, and writes."""

_ENOUGH: Final = 0.05
"""Share of a step from which its own pace tells something."""

_MOST_SIMULATED: Final = 400
"""Steps of which the order is played through; with more of them no worker is ever without one."""

_SECONDS_BETWEEN_FORECASTS: Final = 0.5


@dataclass
class _Pace:
    """Seconds measured, and seconds that had been estimated for the same work."""

    measured: float = 0.0
    estimated: float = 0.0


@dataclass
class _Running:
    """A step that is being made.

    Its pace is told from its first news on: a training that goes on has a part behind it that took
    no time now.
    """

    step: Step
    began: float
    first: tuple[float, float] | None = None  # when the first news came, and the share it told
    share: float = 0.0

    def worked(self, now: float) -> tuple[float, float] | None:
        """Seconds since the first news, and the share that was made in them, if it is enough."""
        if self.first is None or self.share - self.first[1] < _ENOUGH:
            return None
        return now - self.first[0], self.share - self.first[1]


@dataclass
class _Alike:
    """Waiting steps that will be expected to take the same multiple of what was estimated."""

    count: int = 0
    estimated: float = 0.0


@dataclass
class Forecast:
    """The remaining time of one run.

    A step's time is its estimate (passes times a time per pass) times a factor: how much longer
    than estimated steps of its kind took in this run, those that are being made included. The kind
    is as near as there is something measured: the same attack or defense on the same backbone, the
    same kind of step, any step that is counted in passes. Waiting steps are summed up by their
    kinds, so that a forecast takes no longer in a run of 100,000 steps than in one of a thousand.

    Attributes:
        steps: those that are to be made, each after the steps that it reads from.
        seconds: estimated for each, by key.
        workers: how many are made at the same time.
        start_up: seconds that a further worker takes to begin.
        clock: gives seconds.
    """

    steps: Sequence[Step]
    seconds: Mapping[str, float]
    workers: int
    start_up: float = 0.0
    clock: Callable[[], float] = time.monotonic
    _paces: dict[object, _Pace] = field(default_factory=dict)
    _running: dict[str, _Running] = field(default_factory=dict)
    _any_ended: bool = False
    _told: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        self._waiting = OrderedDict((step.key, step) for step in self.steps)
        self._alike: dict[tuple[object, ...], _Alike] = {}
        for step in self._waiting.values():
            self._count(step, 1)
        self._began = self.clock()
        # A bar asks from a thread of its own.
        self._alone = threading.RLock()

    def started(self, step: Step) -> None:
        """A step starts."""
        with self._alone:
            self._forget(step.key)
            self._running[step.key] = _Running(step, self.clock())

    def advanced(self, step: Step, done: int, total: int) -> None:
        """How far it has come."""
        with self._alone:
            running = self._running.get(step.key)
            if running is None:
                return
            running.share = done / total if total else 0.0
            if running.first is None:
                running.first = (self.clock(), running.share)

    def finished(self, step: Step, seconds: float) -> None:
        """It is done."""
        with self._alone:
            running = self._running.pop(step.key, None)
            self._any_ended = True
            self._told = None
            share = 1.0
            if running is not None and running.first is not None and running.first[1] < 1 - _ENOUGH:
                seconds, share = self.clock() - running.first[0], 1 - running.first[1]
            for kind in _kinds(step):
                pace = self._paces.setdefault(kind, _Pace())
                pace.measured += seconds
                pace.estimated += share * self._estimated(step)

    def elsewhere(self, step: Step) -> None:
        """It is done, and was not made here: it says nothing of how fast this run is."""
        with self._alone:
            self._running.pop(step.key, None)
            self._forget(step.key)
            self._any_ended = True
            self._told = None

    def again(self, step: Step) -> None:
        """It was lost, and waits again."""
        with self._alone:
            self._running.pop(step.key, None)
            self._forget(step.key)
            self._waiting[step.key] = step
            self._waiting.move_to_end(step.key, last=False)
            self._count(step, 1)
            self._told = None

    def failed(self, step: Step) -> None:
        """It will not be made, nor will what needs it."""
        with self._alone:
            self._running.pop(step.key, None)
            self._forget(step.key)
            lost = [step.key]
            while lost:
                for key in self._needed_by.get(lost.pop(), ()):
                    if self._forget(key):
                        lost.append(key)
            self._told = None

    def left(self) -> float:
        """Seconds until the run is over."""
        with self._alone:
            now = self.clock()
            if self._told is not None and now - self._told[0] < _SECONDS_BETWEEN_FORECASTS:
                return max(0.0, self._told[1] - (now - self._told[0]))
            seconds = self._played()
            self._told = (now, seconds)
            return seconds

    def share(self) -> float:
        """How much of the run's time is behind it, 0 to 1."""
        gone = self.clock() - self._began
        left = self.left()
        return gone / (gone + left) if gone + left > 0 else 0.0

    def left_of(self, step: Step) -> float | None:
        """Seconds until a step is done; `None` where it is not being made."""
        with self._alone:
            running = self._running.get(step.key)
            return None if running is None else self._rest(running, self._factors())

    @cached_property
    def _needed_by(self) -> dict[str, list[str]]:
        """Of each step, the keys of those that read from it."""
        found: dict[str, list[str]] = {}
        for step in self.steps:
            for before in {one.key for one in step.reads}:
                found.setdefault(before, []).append(step.key)
        return found

    def _forget(self, key: str) -> bool:
        """A step waits no longer; whether it did."""
        step = self._waiting.pop(key, None)
        if step is not None:
            self._count(step, -1)
        return step is not None

    def _count(self, step: Step, by: int) -> None:
        alike = self._alike.setdefault(tuple(_kinds(step)), _Alike())
        alike.count += by
        # What is left of a sum of floats once all of it was taken away is none of it.
        alike.estimated = alike.estimated + by * self._estimated(step) if alike.count else 0.0

    def _estimated(self, step: Step) -> float:
        return max(LEAST, self.seconds.get(step.key, 0.0))

    def _factors(self) -> dict[object, float]:
        """How much longer than estimated each kind takes."""
        now = self.clock()
        paces = {kind: _Pace(pace.measured, pace.estimated) for kind, pace in self._paces.items()}
        for running in self._running.values():
            worked = running.worked(now)
            if worked is not None:
                for kind in _kinds(running.step):
                    pace = paces.setdefault(kind, _Pace())
                    pace.measured += worked[0]
                    pace.estimated += worked[1] * self._estimated(running.step)
        return {kind: pace.measured / pace.estimated for kind, pace in paces.items()}

    def _expected(self, step: Step, factors: Mapping[object, float]) -> float:
        return _factor(_kinds(step), factors) * self._estimated(step)

    def _rest(self, running: _Running, factors: Mapping[object, float]) -> float:
        worked = running.worked(self.clock())
        if worked is not None:
            return worked[0] * (1 - running.share) / worked[1]
        expected = self._expected(running.step, factors)
        if running.first is not None:
            return expected * (1 - running.share)
        gone = self.clock() - running.began
        # What takes longer than expected goes on for a while yet.
        return max(expected - gone, 0.1 * gone if gone > expected else 0.0)

    def _played(self) -> float:
        """Play the rest of the run through, as the engine will."""
        factors = self._factors()
        running = [(self._rest(one, factors), one.step.key) for one in self._running.values()]
        workers = max(1, min(self.workers, len(running) + len(self._waiting)))
        if len(self._waiting) > _MOST_SIMULATED:
            total = sum(
                _factor(kinds, factors) * alike.estimated for kinds, alike in self._alike.items()
            )
            return (total + sum(rest for rest, _ in running)) / workers
        waiting = {key: self._expected(step, factors) for key, step in self._waiting.items()}
        missing = {*self._waiting, *self._running}
        seats = [self.start_up if not self._any_ended else 0.0] * (workers - len(running))
        seats = [0.0, *seats[1:]] if not running and seats else seats
        heapq.heapify(running)
        now = 0.0
        order = list(self._waiting.values())
        while order or running:
            for step in list(order):
                if len(seats) == 0:
                    break
                if not any(before.key in missing for before in step.reads):
                    seats.sort()
                    begin = max(now, seats.pop(0))
                    heapq.heappush(running, (begin + waiting[step.key], step.key))
                    order.remove(step)
            if not running:
                break
            now, key = heapq.heappop(running)
            missing.discard(key)
            seats.append(now)
        return now


def _factor(kinds: Iterable[object], factors: Mapping[object, float]) -> float:
    """That of the nearest kind of which something was measured."""
    return next((factors[kind] for kind in kinds if kind in factors), 1.0)


def _kinds(step: Step) -> Iterator[object]:
    """What a step is like, the nearest first.

    Steps whose estimate rests on passes correct each other; small ones are compared with their own
    kind alone.
    """
    match step:
        case AdversarialCodes() | TrainedAttacker():
            yield (type(step), step.attack, step.setting.backbone)
            yield (type(step), step.attack.card.name)
            yield (type(step), step.setting.backbone)
        case DefendedModel():
            yield (type(step), step.defense, step.setting.backbone)
            yield (type(step), step.defense.card.name)
    yield "training" if isinstance(step, BaseModel | DefendedModel) else type(step)
    counted = (AdversarialCodes, TrainedAttacker, DatabaseCodes)
    if not isinstance(step, StepOnModel) or isinstance(step, counted):
        yield "passes"
