"""Contracts: `Engine` makes all steps of a run, `Hand` makes one step at a time.

What a step makes depends on its key alone, so every engine ends with the same artifacts, whoever
made which step.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from hashbench.results.store import Failure, Store
from hashbench.runner.engines.schedule import Schedule
from hashbench.runner.plan import Plan
from hashbench.runner.reporter import Reporter
from hashbench.runner.steps import Step


class Engine(ABC):
    """Makes the steps of a schedule, somewhere."""

    @abstractmethod
    def make(
        self, plan: Plan, schedule: Schedule, store: Store, reporter: Reporter, workers: int
    ) -> None:
        """Make all steps; one that fails drops what needs it, and the rest goes on.

        Args:
            plan: what the steps come from, for an engine whose processes lay it out themselves.
            schedule: its steps, some done; finished at the end.
            store: where artifacts go.
            reporter: told how it goes.
            workers: how many steps are made at the same time, 1 or more.
        """


@dataclass(frozen=True)
class Advanced:
    """How far a step has come, in its own units."""

    done: int
    total: int


@dataclass(frozen=True)
class Ended:
    """The step's artifact is in the store, or it failed for this reason."""

    failure: Failure | None


@dataclass(frozen=True)
class Ready:
    """The hand has begun its work: if it dies from now on, the step may be the reason."""


@dataclass(frozen=True)
class NoRoom:
    """The step's artifact cannot be written for lack of space: whatever is made would be lost.

    Attributes:
        reason: a sentence that names the file.
    """

    reason: str


@dataclass(frozen=True)
class Died:
    """The hand has ended; what it made of its step is lost, but for finished epochs."""


News: TypeAlias = Ready | Advanced | Ended | NoRoom | Died


class Hand(ABC):
    """Makes one step at a time: a thread, a process of this machine or of another.

    It sends its news to the function that it was made with, from any thread: `Ready` once where it
    takes time to begin, any number of `Advanced` and one `Ended` (or `NoRoom`) for every step that
    was started, `Died` once if it ends unasked. A hand that computes on a card of its own is shown
    that card alone (`CUDA_VISIBLE_DEVICES`): the step goes on to say `cuda`, and no key changes.

    Attributes:
        step: what it is making; whoever started it sets it back to `None` when it has ended.
        begun: whether it has sent news; until then its death says nothing about the step.
    """

    step: Step | None = None
    begun: bool = False

    @abstractmethod
    def start(self, step: Step) -> None:
        """Begin a step of the plan, and return at once; only while it is making none."""

    @abstractmethod
    def kill(self) -> None:
        """Drop the step, if there is one: its artifact is not in the store then, or it is whole."""

    @abstractmethod
    def look(self) -> None:
        """Asked every second: end at once if nothing more will come, as a stopped process."""

    @abstractmethod
    def exit_reason(self) -> str:
        """How it ended, as words for a person; asked once it has died."""


Tell: TypeAlias = Callable[[Hand, News], None]
"""What a hand tells its news to."""


@dataclass(frozen=True)
class Seat:
    """A place where one hand works at a time.

    Attributes:
        hire: makes the hand; may raise OSError where the system gives no process.
        expendable: whether its death leaves the run alive; a step that a hand died of is given to
            such a seat alone.
    """

    hire: Callable[[Tell], Hand]
    expendable: bool = True
