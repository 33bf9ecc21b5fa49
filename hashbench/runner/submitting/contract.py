"""Contract: `Scheduler` writes the script of some jobs, and says what submits it."""

from __future__ import annotations

import shlex
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Final

from hashbench.characters import shortened
from hashbench.errors import HashbenchError, UsageError

MOST_HOURS: Final = 24 * 366
MOST_JOBS: Final = 100_000


class SubmissionError(HashbenchError):
    """A scheduler did not take what was handed to it."""


@dataclass(frozen=True)
class Asked:
    """What is asked of a scheduler. None of it is part of a key.

    Attributes:
        workers: steps that each job makes at the same time.
        jobs: how many jobs share the work; `None` leaves it to their hours.
        cells: about so many cells a job, in place of `jobs`.
        hours: of one job at most.
        gpus: of one job; `None` takes one where the suite computes on `cuda`.
        memory: of one job, in the scheduler's words, such as `16G`.
        partition, account, qos: in the scheduler's words.
        at_once: how many of the jobs may run at the same time.
        restarts: how often a job whose time is over is put back into the queue.
        extra: further settings of the scheduler, by name.
        setup: lines of shell before the run, such as `module load cuda`.
        address: of the cluster, for a scheduler that has one.
    """

    workers: int = 1
    jobs: int | None = None
    cells: int | None = None
    hours: float = 24.0
    gpus: int | None = None
    memory: str | None = None
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    at_once: int | None = None
    restarts: int = 10
    extra: Mapping[str, str] = field(default_factory=dict)
    setup: tuple[str, ...] = ()
    address: str | None = None

    def __post_init__(self) -> None:
        """Refuse numbers that no job can have.

        Raises:
            UsageError: with the option's name.
        """
        for name, value, most in (
            ("--workers", self.workers, 1024),
            ("--jobs", self.jobs, MOST_JOBS),
            ("--cells-per-job", self.cells, 10**9),
            ("--at-once", self.at_once, MOST_JOBS),
        ):
            if value is not None and not 1 <= value <= most:
                raise UsageError(f"{name} is {value:,}, but must be from 1 to {most:,}")
        for name, value, most in (
            ("--gpus", self.gpus, 1024),
            ("--restarts", self.restarts, 1_000),
        ):
            if value is not None and not 0 <= value <= most:
                raise UsageError(f"{name} is {value:,}, but must be from 0 to {most:,}")
        if not 0.1 <= self.hours <= MOST_HOURS:  # written so that NaN is refused too
            raise UsageError(f"--hours is {self.hours:g}, but must be from 0.1 to {MOST_HOURS:,}")
        if self.jobs is not None and self.cells is not None:
            raise UsageError("--jobs and --cells-per-job say the same thing twice: name one")


@dataclass(frozen=True)
class Submission:
    """A suite whose cells some jobs shall make, all in one folder.

    Attributes:
        name: of the jobs and of their files: letters, digits and hyphens.
        suite: the file that asks for the cells, as they were asked for now.
        out: the folder of the results, absolute; every job sees it.
        folder: where the jobs run, absolute: relative paths start from there.
        jobs: how many.
        cells: how many are to be made.
        threads, device: of one step, as the suite says.
        asked: see there.
        python: what runs hashbench.
    """

    name: str
    suite: Path
    out: Path
    folder: Path
    jobs: int
    cells: int
    threads: int
    device: str
    asked: Asked
    python: str = sys.executable

    @property
    def gpus(self) -> int:
        """Of one job."""
        if self.asked.gpus is not None:
            return self.asked.gpus
        return int(self.device == "cuda")

    @property
    def driver(self) -> list[str]:
        """The command that each job runs, without what a scheduler adds to it."""
        return [
            *(self.python, "-P", "-m", "hashbench", "run", str(self.suite)),
            *("--out", str(self.out), "--workers", str(self.asked.workers)),
        ]


class Scheduler(ABC):
    """Takes jobs, and runs them some time.

    Attributes:
        program: what submits a script.
        several: whether it runs many jobs of one script.
    """

    program: ClassVar[str]
    several: ClassVar[bool] = True

    @abstractmethod
    def check(self, asked: Asked, out: Path) -> None:
        """Refuse what this scheduler cannot be told, before anything is read.

        Args:
            asked: what is asked of it.
            out: the folder of the results, absolute.

        Raises:
            UsageError: a sentence that says why, and what to do.
        """

    @abstractmethod
    def script(self, submission: Submission) -> str:
        """The text of a script for bash."""

    @abstractmethod
    def command(self, submission: Submission, script: Path) -> Sequence[str]:
        """What submits the script."""

    @abstractmethod
    def job(self, answer: str) -> str:
        """The number or name of a job, out of what the program printed; empty if it told none."""


def opening(submission: Submission) -> list[str]:
    """The lines of a script until the run: the folder, and what prepares it."""
    return [
        f"cd -- {shlex.quote(str(submission.folder))} || exit 1",
        *submission.asked.setup,
    ]


def refuse_text(name: str, text: str, forbidden: str, why: str) -> None:
    """Refuse a text that holds what cannot be printed, or one of some characters.

    Raises:
        UsageError: it does.
    """
    found = next((one for one in text if one in forbidden or not one.isprintable()), None)
    if found is not None or not text:
        what = "nothing" if found is None else f"the character {found!r}"
        raise UsageError(f"{name} '{shortened(text)}' holds {what}, {why}")
