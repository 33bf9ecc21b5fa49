"""Processes that torchrun started: how they meet, who of them speaks, and how they end."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from hashbench.characters import first_line, shortened, shown
from hashbench.errors import ProcessesError, UsageError
from hashbench.hashing.together import ALONE, Processes, working

PATIENCE: Final = timedelta(hours=1)
"""How long a process waits for another one: as long as the first may need to read a data set."""

MEETING: Final = timedelta(minutes=5)
"""How long processes wait for each other to start."""

_QUIET: Final = 3.0
"""Seconds that a process waits before it ends without a word: torchrun ends all as soon as one has
ended, and another one is speaking."""

_FAULT: Final = "hashbench/fault"
_MET: Final = "hashbench/met"

_NEEDED: Final = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


class SilentEnd(SystemExit):
    """Another process says what went wrong; this one ends without a word."""


@dataclass(frozen=True)
class Launch:
    """What torchrun says to a process.

    Attributes:
        rank, size: the number of this process, and how many they are, on all machines.
        local_rank: its number on this machine.
    """

    rank: int
    size: int
    local_rank: int

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Launch | None:
        """Read the variables of an environment; `None` where one process works alone.

        Raises:
            UsageError: only a part of them is there, or they are no numbers.
        """
        if "WORLD_SIZE" not in environment and "RANK" not in environment:
            return None
        if environment.get("WORLD_SIZE") == "1":
            return None
        missing = [name for name in _NEEDED if not environment.get(name)]
        if missing:
            there = next(name for name in ("WORLD_SIZE", "RANK") if name in environment)
            raise UsageError(
                f"{there} is set, as for several processes, but not {', '.join(missing)}: "
                "start them with 'torchrun --nproc-per-node N -m hashbench train', or unset "
                f"{there} for one process"
            )
        rank, size = (_number(environment, name) for name in ("RANK", "WORLD_SIZE"))
        local = _number(environment, "LOCAL_RANK") if environment.get("LOCAL_RANK") else rank
        if rank >= size:
            raise UsageError(f"RANK is {rank} and WORLD_SIZE {size}: ranks count from 0")
        return cls(rank, size, local)


def _number(environment: Mapping[str, str], name: str) -> int:
    text = environment[name]
    if not (text.isascii() and text.isdigit() and len(text) < 7):
        raise UsageError(f"{name} is '{shortened(shown(text))}', expected a whole number")
    return int(text)


class Meeting:
    """Where the processes of one launch have met: they can tell each other what went wrong.

    Attributes:
        launch: what this process is among them.
    """

    def __init__(self, launch: Launch) -> None:
        """Wait for the others.

        Raises:
            ProcessesError: they do not come.
        """
        from torch.distributed.rendezvous import rendezvous

        self.launch = launch
        try:
            self._store, _, _ = next(
                rendezvous("env://", launch.rank, launch.size, timeout=MEETING)
            )
        except (RuntimeError, ValueError, OSError) as error:
            raise ProcessesError(
                f"the processes do not find each other ({first_line(error)})"
            ) from None

    @contextmanager
    def one_voice(self) -> Iterator[None]:
        """Let one process alone say what went wrong inside: the first one that met it.

        Raises:
            SilentEnd: in all the others.
        """
        try:
            yield
        except BaseException as error:
            speaks = self._is_first_fault()
            self._count_in()
            if not isinstance(error, Exception | SystemExit):  # Ctrl-C, or torchrun ends all
                speaks = self.launch.rank == 0
            if not speaks:
                for number in (signal.SIGTERM, signal.SIGINT):
                    signal.signal(number, signal.SIG_DFL)  # ends it without a word too
                self._leave()
                time.sleep(_QUIET if isinstance(error, Exception | SystemExit) else 0)
                raise SilentEnd(2 if isinstance(error, UsageError) else 1) from None
            self._leave()
            if isinstance(error, Exception | SystemExit):
                self._wait_for_others()
            raise

    @contextmanager
    def group(self, device: str) -> Iterator[Processes]:
        """Work together inside; models are trained by all of them.

        Args:
            device: `cpu` (gloo) or `cuda` (nccl, each process on the GPU of its local rank).

        Raises:
            UsageError: there is no such GPU.
            ProcessesError: they cannot be connected.
        """
        import torch
        import torch.distributed as dist
        from torch.distributed.distributed_c10d import PrefixStore

        backend = "gloo" if device == "cpu" else "nccl"
        if device != "cpu":
            number = self.launch.local_rank
            if number >= torch.cuda.device_count():
                raise UsageError(
                    f"process {self.launch.rank} would compute on GPU {number}, but torch finds "
                    f"{torch.cuda.device_count()} here: start no more processes than GPUs"
                )
            torch.cuda.set_device(number)
        try:
            dist.init_process_group(
                backend,
                store=PrefixStore("hashbench/group", self._store),
                rank=self.launch.rank,
                world_size=self.launch.size,
                timeout=PATIENCE,
            )
        except (RuntimeError, ValueError) as error:
            raise ProcessesError(
                f"the processes cannot be connected ({first_line(error)})"
            ) from None
        processes = Processes(self.launch.rank, self.launch.size, device)
        with working(processes):
            yield processes
            processes.from_first(b"end")
        dist.destroy_process_group()

    def _is_first_fault(self) -> bool:
        """Whether no other process has met anything yet; this one has, from now on."""
        own = str(self.launch.rank)
        try:
            said: bytes = self._store.compare_set(_FAULT, "", own)
        except Exception:  # where they met is gone, with the first process or torchrun
            return self.launch.rank == 0
        return said.decode() == own

    def _count_in(self) -> None:
        """Say that this process has met its end."""
        with contextlib.suppress(Exception):  # where they met is gone
            self._store.add(_MET, 1)

    def _wait_for_others(self) -> None:
        """Stay until all have met their end, a few seconds at most.

        As soon as one has ended torchrun asks the others to end, and one that has met nothing of
        its own would say that it was asked.
        """
        until = time.monotonic() + _QUIET
        with contextlib.suppress(Exception):  # where they met is gone, so all are
            while self._store.add(_MET, 0) < self.launch.size and time.monotonic() < until:
                time.sleep(0.02)

    def _leave(self) -> None:
        """Let go of the others, so that none waits for this one."""
        import torch.distributed as dist

        if dist.is_initialized() and dist.get_backend() == "gloo":
            with contextlib.suppress(Exception):
                dist.destroy_process_group()


@contextmanager
def together(launch: Launch | None) -> Iterator[Meeting | None]:
    """Meet the other processes of a launch, where there are some; one of them speaks inside."""
    if launch is None:
        yield None
        return
    meeting = Meeting(launch)
    with meeting.one_voice():
        yield meeting


@contextmanager
def group_of(meeting: Meeting | None, device: str) -> Iterator[Processes]:
    """The processes that train; one alone where there was no meeting."""
    if meeting is None:
        yield ALONE
        return
    with meeting.group(device) as processes:
        yield processes
