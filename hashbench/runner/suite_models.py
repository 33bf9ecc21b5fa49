"""The models of a suite: a grid to be made, or some that are given. Needs no torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hashbench.coercion import quoted
from hashbench.errors import UsageError
from hashbench.plugins.parameters import Spec
from hashbench.runner.suite_tables import MAX_BITS

LISTS: Final = ("dataset", "loss", "backbone", "bits", "defense", "seed")
"""The fields of a grid of which every combination is a model."""

MAX_SEED_DIGITS: Final = 30
"""A seed is hashed, so any number would do; it stands in names and tables."""


@dataclass(frozen=True)
class Grid:
    """Models to be made: one for every combination of the lists.

    Attributes:
        dataset, loss, backbone, defense: plugins with their parameters.
        bits: code lengths, 1 to 512, as many as the retrieval core packs.
        seed: seeds of training and attacks.
        checkpoint: a folder to take the base model from, instead of training it.
    """

    dataset: tuple[Spec, ...]
    loss: tuple[Spec, ...]
    backbone: tuple[Spec, ...]
    bits: tuple[int, ...]
    defense: tuple[Spec, ...]
    seed: tuple[int, ...]
    checkpoint: Path | None = None

    def __post_init__(self) -> None:
        for name in LISTS:
            if not getattr(self, name):
                raise UsageError(f"{name} is an empty list")
        for bits in self.bits:
            check_bits(bits)
        for seed in self.seed:
            if abs(seed) >= 10**MAX_SEED_DIGITS:
                raise UsageError(
                    f"seed is {quoted(seed, str)}, but may have {MAX_SEED_DIGITS} digits at most"
                )


def check_bits(bits: int) -> None:
    """UsageError unless the retrieval core can pack codes of this length."""
    if not 1 <= bits <= MAX_BITS:
        raise UsageError(
            f"bits is {quoted(bits, str)}, but a code has at least 1 bit and at most {MAX_BITS}"
        )


@dataclass(frozen=True)
class GivenModels:
    """Models that were made before; their cards say what a grid would.

    Attributes:
        model: their folders, as `hashbench model export` writes them; at least one.
    """

    model: tuple[Path, ...]

    def __post_init__(self) -> None:
        if not self.model:
            raise UsageError("model is an empty list")


@dataclass(frozen=True)
class ModelInMemory:
    """A model that is an object of this process: no suite file can name it.

    Attributes:
        name: what rows and messages call it.
    """

    name: str
