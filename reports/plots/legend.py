"""A legend that is read row by row, in the order of what it explains."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

_POINTS: Final = 8  # of a letter
_ROW: Final = 0.175  # inches


@dataclass(frozen=True)
class Legend:
    """A legend in as few lines as its room allows.

    Attributes:
        handles: what it explains; each has its label.
        width: of the figure, inches.
        handle_length: of the drawn pieces, in letters.
    """

    handles: Sequence[Artist]
    width: float
    handle_length: float = 2.0

    @property
    def columns(self) -> int:
        """How many stand beside each other."""
        count = max(1, len(self.handles))
        room = self.width - 0.3
        return next((n for n in range(count, 1, -1) if self._width_of(n) <= room), 1)

    @property
    def lines(self) -> int:
        """How many lines it takes."""
        return math.ceil(len(self.handles) / self.columns)

    @property
    def height(self) -> float:
        """About how much room it takes under the axes, inches."""
        return 0.15 + _ROW * self.lines

    def fits(self, width: float, height: float) -> bool:
        """Whether it fits into a place of that size in inches, in one column."""
        return self._width_of(1) <= width and _ROW * len(self.handles) + 0.1 <= height

    def draw(self, figure: Figure) -> None:
        """Put it under the axes of the figure."""
        columns = self.columns
        figure.legend(
            handles=by_rows(self.handles, columns),
            loc="outside lower center",
            ncols=columns,
            **self._look,
        )

    def draw_in(self, place: Axes) -> None:
        """Put it into an empty place of a grid."""
        place.legend(handles=list(self.handles), loc="center left", **self._look)

    @property
    def _look(self) -> dict[str, Any]:
        return {"frameon": False, "handlelength": self.handle_length, "handleheight": 1.1}

    def _width_of(self, columns: int) -> float:
        """About how many inches it takes in so many columns."""
        labels = [str(handle.get_label()) for handle in self.handles]
        longest = [max(map(len, labels[place::columns]), default=0) for place in range(columns)]
        letters = sum(self.handle_length + 2.8 + 0.62 * length for length in longest)
        return letters * _POINTS / 72


def by_rows(handles: Sequence[Artist], columns: int) -> list[Artist]:
    """Handles in the order in which matplotlib, which fills columns, puts them into rows."""
    return [handle for place in range(columns) for handle in handles[place::columns]]
