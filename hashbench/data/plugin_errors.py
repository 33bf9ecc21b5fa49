"""What goes wrong inside a data set's own code, as an error that a person can read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from hashbench.data.contract import Dataset
from hashbench.errors import HashbenchError, UsageError


@contextmanager
def plugin_errors(dataset: Dataset) -> Iterator[None]:
    """Around every call of a data set's `prepare` and `load`.

    Raises:
        UsageError: for whatever the plugin raised; names the data set. Our own errors pass as
            they are.
    """
    try:
        yield
    except HashbenchError:
        raise
    except Exception as error:  # a plugin may raise anything
        raise UsageError(
            f"dataset '{dataset.card.name}' cannot be loaded: {type(error).__name__}: {error}"
        ) from error
