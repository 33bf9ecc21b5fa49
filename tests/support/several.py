"""Several processes (gloo, on this machine) that do the same, as a training with torchrun has."""

from __future__ import annotations

import datetime
import multiprocessing
import pickle
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from hashbench.hashing.together import Processes, working

PATIENCE = 120.0
"""Seconds until processes that wait for each other for ever are ended."""


class OtherError(Exception):
    """What went wrong in one of the processes, with its traceback."""


def several(size: int, work: Callable[[Processes], Any], *, any_error: bool = False) -> list[Any]:
    """Do work in forked processes at the same time; what each returned, in their order.

    They meet at a file, so that no port is needed.

    Args:
        size: how many processes.
        work: given the processes; returns what can be pickled.
        any_error: give the error of a process in the place of its result, instead of raising.
    """
    context = multiprocessing.get_context("fork")
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        children = [
            context.Process(target=_child, args=(rank, size, home, work)) for rank in range(size)
        ]
        for child in children:
            child.start()
        for child in children:
            child.join(PATIENCE)
        hang = [rank for rank, child in enumerate(children) if child.is_alive()]
        for child in children:
            if child.is_alive():
                child.kill()
                child.join()
        assert not hang, f"processes {hang} hang"
        # Written by the children above, into a folder of this process alone.
        found = [
            pickle.loads((home / f"{rank}.pkl").read_bytes())  # noqa: S301
            for rank in range(size)
        ]
    errors = [value for failed, value in found if failed]
    if errors and not any_error:
        raise OtherError("\n".join(text for _, text in errors))
    return [value[0] if failed else value for failed, value in found]


def _child(rank: int, size: int, home: Path, work: Callable[[Processes], Any]) -> None:
    torch.set_num_threads(1)
    try:
        dist.init_process_group(
            "gloo",
            init_method=f"file://{home / 'meeting'}",
            rank=rank,
            world_size=size,
            timeout=datetime.timedelta(seconds=PATIENCE / 2),
        )
        processes = Processes(rank, size)
        with working(processes):
            answer = (False, work(processes))
        dist.barrier()
    except Exception as error:
        answer = (True, (error, traceback.format_exc()))
    try:
        content = pickle.dumps(answer)
    except Exception as error:
        content = pickle.dumps((True, (RuntimeError(str(error)), traceback.format_exc())))
    (home / f"{rank}.pkl").write_bytes(content)
    if dist.is_initialized():
        dist.destroy_process_group()
