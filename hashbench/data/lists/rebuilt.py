"""Published data sets whose database list is too large for the papers' repositories."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path

from typing_extensions import override

from hashbench.data.lists.dataset import PublishedDataset
from hashbench.data.lists.listing import (
    CLASS_NAMES,
    ListedSplit,
    Listing,
    class_names,
    read_listing,
    read_split,
)
from hashbench.errors import UsageError


@dataclass(frozen=True)
class RebuiltDataset(PublishedDataset):
    """Lists whose database is made from official files where it is missing."""

    @override
    def read(self, home: Path) -> Listing:
        """The lists; the database's rebuilt where it is missing."""
        if any((home / name).exists() for name in ("database_img.txt", "database.txt")):
            return read_listing(home)
        train, query = read_split(home, "train"), read_split(home, "test")
        lacking = self.lacking(home)
        if lacking:
            raise UsageError(
                f"{home}: neither database_img.txt (with database_label.txt) {lacking}"
            )
        database, names = self.rebuild(home, train, query)
        if (home / CLASS_NAMES).exists():
            names = class_names(home, len(names))
        return Listing(home, train, query, database, names)

    @abstractmethod
    def lacking(self, home: Path) -> str:
        """The missing official files, as the end of a sentence from "nor" on; empty if none is."""

    @abstractmethod
    def rebuild(
        self, home: Path, train: ListedSplit, query: ListedSplit
    ) -> tuple[ListedSplit, tuple[str, ...]]:
        """The database and the names of the label columns.

        Raises:
            UsageError: an official file is malformed, or does not say what the given rows say.
        """
