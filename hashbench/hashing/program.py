"""Models that are given whole: not a backbone of ours with a state dict, but a thing that runs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hashbench.hashing.model import HashModel


class Program(ABC):
    """A model that is neither built from one of our backbones nor kept as a state dict.

    It is either a file that holds a whole network, or an object in memory. A subclass is a frozen
    dataclass: two that are equal compute the same.
    """

    @property
    @abstractmethod
    def content(self) -> str:
        """SHA-256 of all that decides what it computes, 64 hexadecimal digits: part of the key."""

    @property
    @abstractmethod
    def differentiable(self) -> bool:
        """Whether a gradient goes from its outputs to the images; see `HashModel`."""

    @abstractmethod
    def described(self) -> dict[str, Any]:
        """Plain data for keys and reports: its kind and how it is asked, without its content."""

    @abstractmethod
    def files(self) -> Mapping[str, bytes]:
        """What the store keeps of it, by the names of files."""

    @abstractmethod
    def load(self, *, device: str, threads: int, kept: Path | None = None) -> HashModel:
        """The model, in eval mode.

        Args:
            device: where it computes, `cpu` or `cuda`.
            threads: how many of the processor's it may use, where it has threads of its own.
            kept: the folder of the store that holds its `files`; `None` takes it from where it was
                given. An object in memory takes itself.

        Raises:
            UsageError: it is not there, is damaged, changed, or cannot be run here.
        """
