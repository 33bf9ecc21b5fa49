"""Random numbers of a test: from a generator, or from the process-wide one, set back afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@contextmanager
def process_seeded(seed: int) -> Iterator[None]:
    """Inside, the process-wide generator begins at a seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield
