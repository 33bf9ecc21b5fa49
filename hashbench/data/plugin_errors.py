"""A data set's own code, called so that a person can read what goes wrong inside it."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

from hashbench.data.contract import Dataset
from hashbench.data.images import RetrievalData
from hashbench.plugins.blame import expected, refusing


def plugin_errors(dataset: Dataset) -> AbstractContextManager[None]:
    """Around every call of a data set's `home`, `prepare` and `load`.

    Raises:
        UsageError: for whatever the plugin raised; names the data set, the file and the line. Our
            own errors pass as they are.
    """
    return refusing(dataset, " cannot be loaded:")


def loaded(dataset: Dataset, root: Path | None) -> RetrievalData:
    """What a data set loads, once it is what its contract asks for; raises what it raises.

    Raises:
        PluginError: it is something else.
    """
    return expected(
        dataset,
        "load",
        dataset.load(root),
        RetrievalData,
        "return hashbench.data.RetrievalData(classes, train, query, database)",
    )
