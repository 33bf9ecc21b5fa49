"""Folders of results as commands read them: what cannot be read is told on stderr."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hashbench.cli.screen import for_notes

if TYPE_CHECKING:
    from hashbench.results.results import Results


def results_of(folders: Sequence[Path]) -> Results:
    """The results of some folders, and a note for each thing in them that cannot be read.

    Raises:
        UsageError: none of them holds results.
        StoreError: there are plans, and none of them can be read.
    """
    from hashbench.results.load import read_folders

    found = read_folders(*folders)
    notes = for_notes()
    for sentence in found.troubles:
        notes.say(sentence)
    return found
