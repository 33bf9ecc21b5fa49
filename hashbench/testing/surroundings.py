"""What a plugin shares with its process: random states and torch's switches, watched, restored."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from hashbench.attacking.generators import start_anew, undisturbed


@dataclass
class Touched:
    """Which process-wide random generators were drawn from or seeded."""

    generators: list[str] = field(default_factory=list)


@contextmanager
def own_random_state(seed: int = 0) -> Iterator[Touched]:
    """The same process-wide random states at every entry; afterwards those from before.

    Yields what was drawn from, complete once the block has ended.
    """
    touched = Touched()
    with undisturbed(torch.device("cpu")):
        start_anew(seed)
        start = _states()
        try:
            yield touched
        finally:
            now = _states()
            touched.generators += [name for name, state in now.items() if state != start[name]]


def _states() -> dict[str, object]:
    numpys: dict[str, Any] = dict(np.random.get_state(legacy=False))  # noqa: NPY002
    twister = numpys["state"]
    return {
        "torch": torch.get_rng_state().numpy().tobytes(),
        "numpy": (twister["key"].tobytes(), twister["pos"], numpys["has_gauss"], numpys["gauss"]),
        "random": random.getstate(),
    }


@dataclass(frozen=True)
class Switches:
    """Torch's process-wide switches."""

    grad_mode: bool
    default_dtype: torch.dtype
    deterministic: bool
    anomaly_mode: bool
    threads: int

    @classmethod
    def now(cls) -> Switches:
        """As they are."""
        return cls(
            torch.is_grad_enabled(),
            torch.get_default_dtype(),
            torch.are_deterministic_algorithms_enabled(),
            torch.is_anomaly_enabled(),
            torch.get_num_threads(),
        )

    def restore(self) -> None:
        """Set those that are now otherwise."""
        if self == Switches.now():  # setting them anew imports half of torch
            return
        torch.set_grad_enabled(self.grad_mode)
        torch.set_default_dtype(self.default_dtype)
        torch.use_deterministic_algorithms(self.deterministic)
        torch.autograd.set_detect_anomaly(self.anomaly_mode)
        torch.set_num_threads(self.threads)

    def changed(self) -> list[str]:
        """The names of those that are now otherwise."""
        now = Switches.now()
        return [name for name in vars(self) if getattr(self, name) != getattr(now, name)]
