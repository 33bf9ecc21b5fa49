"""Contracts: `Engine` makes all steps of a run, `Hand` makes one step at a time.

What a step makes depends on its key alone, so every engine ends with the same artifacts, whoever
made which step.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeAlias

from hashbench.errors import UsageError
from hashbench.results.store import Failure, Store
from hashbench.runner.engines.schedule import Schedule
from hashbench.runner.plan import Plan
from hashbench.runner.reporter import Reporter
from hashbench.runner.resolve import check_device
from hashbench.runner.steps import Step
from hashbench.runner.suite import Suite
from hashbench.runner.suite_tables import Compute

MOST_WORKERS: Final = 1024


@dataclass(frozen=True)
class Resources:
    """What a run may use. None of it is part of a key: the same artifacts come out.

    Attributes:
        workers: how many steps are made at the same time, from 1 to `MOST_WORKERS`.
        devices: the numbers of the GPUs that workers are spread over, each named once; empty leaves
            it to torch.
        address: of the cluster, for an engine that has one; `None` starts one on this machine.
    """

    workers: int = 1
    devices: tuple[int, ...] = ()
    address: str | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.workers <= MOST_WORKERS:
            raise UsageError(f"workers is {self.workers:,}, but must be from 1 to {MOST_WORKERS:,}")
        for device in self.devices:
            if device < 0 or self.devices.count(device) > 1:
                raise UsageError(
                    f"devices names {device}, but each is the number of a GPU, from 0, named once"
                )


class Asked(Protocol):
    """What a run is asked for, as a worker process is told it."""

    def to_plain(self) -> dict[str, Any]:
        """As JSON data, which the process lays out again."""

    @property
    def compute(self) -> Compute:
        """Threads, for one."""


class LaidOut(Protocol):
    """A plan, as far as a worker process needs to know it."""

    @property
    def suite(self) -> Asked:
        """What it was laid out of."""


class Engine(ABC):
    """Makes the steps of a schedule, somewhere."""

    def check(self, suite: Suite, resources: Resources) -> None:  # noqa: ARG002 - others look
        """Refuse what this engine cannot do, before anything is read.

        This one refuses a device that this machine lacks.

        Args:
            suite: what will be run.
            resources: what it may use.

        Raises:
            UsageError: a sentence that says why, and what to do.
        """
        check_device(suite.compute.device)

    @abstractmethod
    def make(
        self,
        plan: Plan,
        schedule: Schedule,
        store: Store,
        reporter: Reporter,
        resources: Resources,
    ) -> None:
        """Make all steps; one that fails drops what needs it, and the rest goes on.

        Args:
            plan: what the steps come from, for an engine whose processes lay it out themselves.
            schedule: its steps, some done; finished at the end.
            store: where artifacts go.
            reporter: told how it goes.
            resources: what it may use.
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


Said: TypeAlias = Ready | Advanced | Ended | NoRoom
"""What a hand says itself."""

News: TypeAlias = Said | Died
"""What is heard of a hand."""


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
