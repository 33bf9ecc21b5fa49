"""Which part of results a figure is of, as it was asked for by keywords."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from hashbench.eps import Eps
from hashbench.errors import UsageError
from hashbench.results.results import Results, part
from hashbench.results.selection import Selection, selected
from hashbench.suggestions import did_you_mean

FIELDS: Final = (
    "dataset",
    "loss",
    "backbone",
    "defense",
    "attack",
    "eps",
    "bits",
    "seed",
    "suite",
)
"""What a part is chosen by, as on the command line."""

HASHES: Final = ("protocol", "training")
"""... and by the first digits of these."""


def chosen(results: Results, choice: Mapping[str, object]) -> Results:
    """The part that is asked for.

    Args:
        results: to choose from.
        choice: by a field, a value or several; `None` asks for all.

    Raises:
        UsageError: a key is no field, or a value is not in the results.
    """
    for key in choice:
        if key not in (*FIELDS, *HASHES):
            raise UsageError(
                f"a plot is not chosen by '{key}'{did_you_mean(key, (*FIELDS, *HASHES))}"
            )
    texts = {key: _texts(value) for key, value in choice.items() if value is not None}
    for key in HASHES:
        for start in texts.pop(key, ()):
            results = _by_hash(results, key, start)
    if not texts:
        return results
    radii = tuple(Eps.parse(value) for value in _values(choice.get("eps")))
    named = {key: value for key, value in texts.items() if key != "eps"}
    return selected(results, Selection(eps=radii, **named))


def _by_hash(results: Results, field: str, start: str) -> Results:
    cells = [r.cell for r in results.cells if str(getattr(r.cell, field)).startswith(start)]
    if not cells or not start:
        known = {str(getattr(result.cell, field))[:12] for result in results.cells}
        raise UsageError(f"these results hold no {field} '{start}'{did_you_mean(start, known)}")
    return part(results, cells)


def _values(value: object) -> tuple[object, ...]:
    if value is None:
        return ()
    if isinstance(value, Iterable) and not isinstance(value, str):
        return tuple(value)
    return (value,)


def _texts(value: object) -> tuple[str, ...]:
    return tuple(str(one) for one in _values(value))
