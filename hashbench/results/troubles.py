"""What of folders of results cannot be read: a sentence each that names the file."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from hashbench.characters import counted, shown
from hashbench.errors import FileError
from hashbench.results.address import Address
from hashbench.results.artifacts import PER_QUERY, SCORES
from hashbench.results.store import DONE, Store
from hashbench.results.sums import NewerError

MOST: Final = 20
"""How many damaged results are told by name; of more it is told how many."""

_FILES: Final = (DONE, SCORES, PER_QUERY)


NOT_RUN: Final = "its cell counts as not run"
STANDS_IN: Final = "another folder's stands for it"
NO_COST: Final = "what its attack cost is not known"
NO_FAILURE: Final = "its cells count as not run"
"""What follows of damage to one result."""


def is_of_cells(sentence: str) -> bool:
    """Whether a sentence is about results of cells, whose own rows tell of the damage too."""
    follows = (NOT_RUN, STANDS_IN, NO_COST, NO_FAILURE)
    return sentence.startswith("and ") or any(f"; {words}" in sentence for words in follows)


class Troubles:
    """Collects them, each once."""

    def __init__(self) -> None:
        """Begin with none."""
        self._whole: dict[str, None] = {}
        self._results: dict[str, None] = {}

    def note(self, sentence: str) -> None:
        """Of a folder, or of a plan."""
        self._whole[shown(sentence)] = None

    def result(self, store: Store, address: Address, error: FileError, then: str) -> None:
        """Of an artifact.

        Args:
            store: where it lies.
            address: of it.
            error: why it cannot be read; it may begin with the name of a file.
            then: what follows for the reports.
        """
        name, _, cause = str(error).partition(": ")
        folder = store.folder / address.path
        path, cause = (folder / name, cause) if name in _FILES else (folder, str(error))
        # A newer hashbench says itself what to do.
        todo = "" if isinstance(error, NewerError) else ", and running the suite again mends it"
        self._results[shown(f"{path}: {cause}; {then}{todo}")] = None

    def failure(self, path: Path) -> None:
        """Of the note of a step that failed."""
        said = f"{path}: the note of a failure cannot be read; {NO_FAILURE}"
        self._results[shown(f"{said}, and running the suite again mends it")] = None

    def told(self) -> tuple[str, ...]:
        """All of them, those of whole folders and plans first."""
        results = list(self._results)
        rest = len(results) - MOST
        more = [f"and {counted(rest, 'more damaged result')}"] if rest > 0 else []
        return (*self._whole, *results[:MOST], *more)
