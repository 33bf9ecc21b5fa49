"""A figure of results: who draws it. Reports are found by name, as every plugin is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from hashbench.plugins.kinds import Kind
from hashbench.plugins.lookup import get

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DRAWER: Final = "plots"
"""The format that draws; see `Format.figure`."""


def figure_of(results: object, kind: str, theme: str, choice: Mapping[str, object]) -> Figure:
    """See `Results.plot`.

    Args:
        results: to draw of.
        kind: of figure.
        theme: of the page.
        choice: values by a cell's field.

    Raises:
        UsageError: there is no such theme, kind or part.
    """
    # Formats stand above this room: what one can do is asked of it, not imported.
    drawer: Any = get(Kind.FORMAT, DRAWER, theme=theme)
    figure: Figure = drawer.figure(results, kind, choice)
    return figure
