"""The tables of a suite: training, budget, compute, limits. Needs no torch."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Final

from hashbench.characters import shortened
from hashbench.coercion import quoted
from hashbench.eps import Eps, Norm
from hashbench.errors import UsageError

MIXED: Final = "mixed"
TF32: Final = "tf32"
PRECISIONS: Final = ("float32", TF32, MIXED)
"""The words of `hashbench.hashing.precision`; here too, as a suite is read without torch."""

FLOAT: Final = "float"
PIXELS: Final = (FLOAT, "8bit")
"""The words of `hashbench.data.PixelValues`; written here too, as a suite is read without numpy."""

MAX_BITS: Final = 512
"""The longest code that `hashbench.retrieval` packs; written here too, as a suite is read without
numpy."""

MAX_IMAGES: Final = 1_000
"""`hashbench.results.kept_images.MOST`, likewise."""

NO_ATTACK: Final = "none"
"""`hashbench.results.cell.CLEAN`, likewise."""

MAX_EPOCHS: Final = 1_000_000
"""Epochs of a training, and steps of an attack inside of one."""

MAX_BATCH: Final = 1_000_000_000
"""Images of a batch; one beyond the data set's size is the whole data set."""

MOST_THREADS: Final = 1024
"""Torch threads of a cell: each has a stack of its own, and where there is no room for them the
process is ended."""

MOST_PROCESSES: Final = 1024
"""Processes that train one model."""

DATABASE_PART: Final = 1 << 20
"""Images of a database that one step encodes and counts: beyond the data sets of the literature."""

MAX_IMAGES_OF_PART: Final = 1_000_000_000_000

MAX_PASSES: Final = 1_000_000_000_000
"""Forward passes that a suite may grant an attack per query."""


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
        _whole("training.epochs", self.epochs, 0, MAX_EPOCHS)
        _whole("training.batch", self.batch, 1, MAX_BATCH)
        if self.learning_rate <= 0:
            raise UsageError(f"training.learning_rate is {self.learning_rate}, but must be above 0")
        for name in ("learning_rate", "momentum", "weight_decay", "gamma"):
            value = getattr(self, name)
            if not 0 <= value < math.inf:  # written so that NaN is refused too
                raise UsageError(f"training.{name} is {value}, but must be a number from 0 on")
        if self.optimizer == "adam" and self.momentum >= 1:
            raise UsageError(
                f"training.momentum is {self.momentum}, but as Adam's first beta must be below 1"
            )
        for share in self.milestones:
            if not 0 < share <= 1:
                raise UsageError(
                    f"training.milestones holds {share}, but each is a share of the steps, above 0 "
                    "and at most 1"
                )


@dataclass(frozen=True)
class BudgetPlan:
    """What every trained defense gets alike.

    Attributes:
        epochs, inner_steps: as in `hashbench.defending.Budget`.
        eps: radius of the inner attack, of L-infinity; `None` takes the largest one of the run, so
            that a defense is trained for the strongest threat that it will meet.
    """

    epochs: int
    inner_steps: int
    eps: Eps | None = None

    def __post_init__(self) -> None:
        _whole("budget.epochs", self.epochs, 0, MAX_EPOCHS)
        _whole("budget.inner_steps", self.inner_steps, 0, MAX_EPOCHS)
        if self.eps is not None and self.eps.norm is not Norm.LINF:
            raise UsageError(
                f"budget.eps is {shortened(str(self.eps))}, but defenses are trained inside linf "
                "balls: give a radius such as 8/255"
            )


@dataclass(frozen=True)
class Compute:
    """How it is computed: what float results depend on besides the seed is part of every key.

    Attributes:
        threads: of torch, per cell; at most `MOST_THREADS`.
        attack_batch: queries that are attacked together.
        device: `cpu` or `cuda`.
        precision: of training, attacks and codes alike: `float32`; `tf32`, which only a GPU has; or
            `mixed`: the network under the hash layer runs in bfloat16.
        search: the precision in which attacks look for their images, whose codes are then computed
            in `precision`; `None` takes the same. Part of the keys of attacks alone, where it is
            another.
        processes: that train a model together, at most `MOST_PROCESSES`; with more than one it is
            `torchrun ... -m hashbench train` that trains it.
        database_part: images of a database that one step encodes and counts, rounded up to whole
            blocks of 500; a larger database is divided. No part of any key: the results are the
            same.
    """

    threads: int = 1
    attack_batch: int = 500
    device: str = "cpu"
    precision: str = "float32"
    search: str | None = None
    processes: int = 1
    database_part: int = DATABASE_PART

    def __post_init__(self) -> None:
        _whole("compute.threads", self.threads, 1, MOST_THREADS)
        _whole("compute.processes", self.processes, 1, MOST_PROCESSES)
        _whole("compute.attack_batch", self.attack_batch, 1, MAX_BATCH)
        _whole("compute.database_part", self.database_part, 1, MAX_IMAGES_OF_PART)
        for name in ("precision", "search"):
            value = getattr(self, name)
            if value is not None and value not in PRECISIONS:
                raise UsageError(
                    f"compute.{name} is '{shortened(value)}', expected float32, tf32 or mixed"
                )
            if value == TF32 and self.device == "cpu":
                raise UsageError(
                    f"compute.{name} is 'tf32', in which only a GPU computes: add "
                    "compute.device = 'cuda', or take float32"
                )

    @property
    def other_search(self) -> str | None:
        """The precision of an attack's search, where it is not that of the verdict."""
        return None if self.search == self.precision else self.search

    def recorded(self) -> dict[str, Any]:
        """As plain data for records: what is as it always was is left out, as older ones do."""
        said = asdict(self)
        del said["database_part"]  # no number depends on it
        if self.other_search is None:
            del said["search"]
        if self.processes == 1:
            del said["processes"]
        return said


@dataclass(frozen=True)
class Limits:
    """Where a plugin is stopped: no part of any key, since a cell that is stopped has no result.

    Attributes:
        passes: forward passes that an attack may take per query.
    """

    passes: int = 20_000

    def __post_init__(self) -> None:
        _whole("limits.passes", self.passes, 1, MAX_PASSES)


def _whole(where: str, value: int, least: int, most: int) -> None:
    if value < least:
        raise UsageError(f"{where} is {quoted(value, str)}, but must be {least} or more")
    if value > most:
        found = quoted(value, "{:,}".format)
        raise UsageError(f"{where} is {found}, but must be from {least} to {most:,}")
