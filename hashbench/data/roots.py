"""The folder that a user names for a data set: whether it is needed, and there."""

from __future__ import annotations

from pathlib import Path

from hashbench.errors import UsageError
from hashbench.plugins.contracts import Dataset


def root_of(dataset: Dataset, root: Path | None) -> Path | None:
    """What a data set's `prepare` and `load` are given of the folder that was named.

    Raises:
        UsageError: it is needed and was not named, or there is no such folder.
    """
    if dataset.needs_root and root is None:
        raise UsageError(
            f"dataset '{dataset.card.name}' is read from a folder: name it with --root FOLDER"
        )
    if root is not None and not root.is_dir():
        raise UsageError(f"root {root}: no such folder")
    return root if dataset.needs_root else None
