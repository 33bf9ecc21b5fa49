"""The tables of a suite: training, budget, compute, limits. Needs no torch."""

from __future__ import annotations

from dataclasses import dataclass

from hashbench.eps import Eps
from hashbench.errors import UsageError

MIXED = "mixed"
PRECISIONS = ("float32", MIXED)
MOST_THREADS = 1024
"""Beyond it libraries end the process instead of raising an error; and no sum gets faster."""


@dataclass(frozen=True)
class Training:
    """How base models are trained; see `hashbench.hashing.Recipe` for the fields."""

    epochs: int
    batch: int = 32
    optimizer: str = "sgd"
    learning_rate: float = 0.01
    momentum: float = 0.9
    weight_decay: float = 5e-4
    milestones: tuple[float, ...] = (0.5, 0.75)
    gamma: float = 0.1
    augment: str = "none"

    def __post_init__(self) -> None:
        _at_least(0, "training.epochs", self.epochs)
        _at_least(1, "training.batch", self.batch)
        if self.learning_rate <= 0:
            raise UsageError(f"training.learning_rate is {self.learning_rate}, but must be above 0")


@dataclass(frozen=True)
class BudgetPlan:
    """What every trained defense gets alike.

    Attributes:
        epochs, inner_steps: as in `hashbench.defending.Budget`.
        eps: radius of the inner attack; `None` takes the largest radius of the run, so that a
            defense is trained for the strongest threat that it will meet.
    """

    epochs: int
    inner_steps: int
    eps: Eps | None = None

    def __post_init__(self) -> None:
        _at_least(0, "budget.epochs", self.epochs)
        _at_least(0, "budget.inner_steps", self.inner_steps)


@dataclass(frozen=True)
class Compute:
    """What float results depend on besides the seed, and is therefore part of every key.

    Attributes:
        threads: of torch, per cell.
        attack_batch: queries that are attacked together.
        device: `cpu` or `cuda`.
        precision: `float32`, or `mixed`: the network under the hash layer runs in bfloat16, in
            training, attacks and codes alike.
    """

    threads: int = 1
    attack_batch: int = 500
    device: str = "cpu"
    precision: str = "float32"

    def __post_init__(self) -> None:
        _at_least(1, "compute.threads", self.threads)
        if self.threads > MOST_THREADS:
            raise UsageError(
                f"compute.threads is {self.threads:,}, but must be from 1 to {MOST_THREADS:,}"
            )
        _at_least(1, "compute.attack_batch", self.attack_batch)
        if self.precision not in PRECISIONS:
            raise UsageError(f"compute.precision is '{self.precision}', expected float32 or mixed")


@dataclass(frozen=True)
class Limits:
    """Where a plugin is stopped: no part of any key, since a cell that is stopped has no result.

    Attributes:
        passes: forward passes that an attack may take per query.
    """

    passes: int = 20_000

    def __post_init__(self) -> None:
        _at_least(1, "limits.passes", self.passes)


def _at_least(least: int, where: str, value: int) -> None:
    if value < least:
        raise UsageError(f"{where} is {value}, but must be {least} or more")
