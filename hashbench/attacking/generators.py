"""The generators that all of a process share: started anew, and afterwards as they were."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from hashbench.hashing.kept import ProcessWide


def start_anew(seed: int = 0) -> None:
    """Seed the process-wide generators of torch (all devices), Python and numpy.

    Args:
        seed: from 0 to 2**32 - 1.
    """
    torch.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - plugins and other libraries use it


@contextmanager
def undisturbed(device: torch.device) -> Iterator[None]:
    """The process-wide generators as they were, afterwards.

    Args:
        device: what is computed on.
    """
    generators = ProcessWide(device)
    before = generators.state_dict()
    try:
        yield
    finally:
        generators.load_state_dict(before)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed the process-wide generators of torch (all devices), numpy and Python for a block.

    Afterwards, also after an error, each is where it was.

    Args:
        seed: from 0 to 2**32 - 1.
    """
    cards = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    with torch.random.fork_rng(devices=list(cards)), undisturbed(torch.device("cpu")):
        start_anew(seed)
        yield
