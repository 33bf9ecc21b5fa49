"""What the author of a report format implements: `Format`."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from hashbench.plugins.base import Plugin
from hashbench.results.results import Results


@dataclass(frozen=True)
class Format(Plugin):
    """A way to write a report."""

    suffix: ClassVar[str] = ".txt"

    @abstractmethod
    def render(self, results: Results, *, width: int | None = None) -> str:
        """Return the whole report as text.

        Args:
            results: every cell of the folders that are reported.
            width: columns of the terminal it is for; `None` for a file.
        """
