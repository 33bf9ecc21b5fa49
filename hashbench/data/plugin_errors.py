"""A data set's own code, called so that a person can read what goes wrong inside it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hashbench.data.contract import Dataset
from hashbench.data.images import RetrievalData
from hashbench.data.origins import advice
from hashbench.errors import MissingDataError, UsageError
from hashbench.plugins.blame import expected, refusing


@contextmanager
def plugin_errors(dataset: Dataset) -> Iterator[None]:
    """Around every call of a data set's `home`, `prepare` and `load`.

    Raises:
        UsageError: for whatever the plugin raised; names the data set, the file and the line. Our
            own errors pass as they are, but that one of a published data set that is not there
            says how to learn where to get it.
    """
    try:
        with refusing(dataset, " cannot be loaded:"):
            yield
    except MissingDataError as error:
        raise UsageError(f"{error}{advice(dataset.card.name)}") from error


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
