"""Where memory runs out: how that is told, and trying again as if for the first time."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch

from hashbench.hashing.kept import ProcessWide

MadeT = TypeVar("MadeT")


def out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out: on the CPU torch says so in a plain RuntimeError."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "DefaultCPUAllocator" in str(
        error
    )


class Retry:
    """The state of the process before something that memory may be too short for."""

    def __init__(self) -> None:
        """Remember where the process-wide generators are, a GPU's too where one is in use."""
        self._on_card = torch.cuda.is_initialized()
        self._generators = ProcessWide(torch.device("cuda" if self._on_card else "cpu"))
        self._state = self._generators.state_dict()

    def begin(self) -> None:
        """Be there again: the same draws come next, and a GPU's unused memory is given back.

        Called outside of the `except` that caught the error, whose traceback holds the tensors.
        """
        self._generators.load_state_dict(self._state)
        if self._on_card:
            torch.cuda.empty_cache()


def in_halves(size: int, make: Callable[[int], MadeT]) -> MadeT:
    """Make something in parts of so many; where memory runs out, all of it anew in half of them.

    So what comes out is what parts of the size that fits give from the start, with the same draws.

    Args:
        size: of a part, 1 or more.
        make: makes it, and leaves no trace where it raises.

    Raises:
        MemoryError, RuntimeError: memory runs out in parts of one.
    """
    retry = Retry()
    while True:
        try:
            return make(size)
        except (MemoryError, RuntimeError) as error:
            if size == 1 or not out_of_memory(error):
                raise
        size //= 2
        retry.begin()
