"""How plots look: palette, sizes, and figures turned into the same bytes every time."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import matplotlib
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patheffects import AbstractPathEffect, withStroke

from hashbench.reports.board.counting import is_control
from hashbench.reports.text.sentences import one_line

Dash = tuple[float, tuple[float, ...]]
"""Offset, then lengths of line and gap in turn, in line widths; no lengths make a solid line."""

SOLID: Dash = (0, ())
INK = "#222222"
CONTROL_GREY = "#9a9a9a"
PROBLEM = "#b3261e"
CHANCE = "#555555"

# Okabe and Ito (2008), told apart with every kind of colour blindness; its yellow is too pale for
# a line on white, and its black is the ink.
PALETTE = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00")
DASHES: tuple[Dash, ...] = (
    (0, (5, 1.5)),
    (0, (3, 1, 1, 1)),
    (0, (1, 1)),
    (0, (7, 1, 1, 1, 1, 1)),
)
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<")
HATCHES = ("", "////", "....", "xxxx")

# Keys of type Any: from version 3.11 on matplotlib types each key as a literal.
SETTINGS: Final[dict[Any, Any]] = {
    "font.family": "DejaVu Sans",  # ships with matplotlib: the same letters on every machine
    "font.size": 8.5,
    "axes.titlesize": 9,
    "axes.labelsize": 8.5,
    "legend.fontsize": 8,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "axes.edgecolor": "#888888",
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.6,
    "hatch.linewidth": 0.5,
    "text.parse_math": False,  # a `$` in a plugin's name is a dollar
    "text.usetex": False,
    "svg.fonttype": "none",  # labels stay text that can be searched and edited
    "svg.hashsalt": "hashbench",
    "figure.constrained_layout.use": False,
}

_RESOLUTION = 200


@dataclass(frozen=True)
class Look:
    """How one series is drawn, in colour and without."""

    color: str
    dash: Dash
    marker: str
    hatch: str


CLEAN_LOOK = Look(INK, SOLID, "o", "")
WORST_LOOK = Look("#ffffff", SOLID, "*", "//////")


CONTROL_LOOK = Look(CONTROL_GREY, (0, (4, 2)), "x", "")


def looks(names: Sequence[str]) -> dict[str, Look]:
    """A look for each name, by its place; past the palette's end colours repeat with a hatch."""
    return {
        name: Look(
            color=PALETTE[place % len(PALETTE)],
            dash=DASHES[place % len(DASHES)],
            marker=MARKERS[place % len(MARKERS)],
            hatch=HATCHES[place // len(PALETTE) % len(HATCHES)],
        )
        for place, name in enumerate(names)
    }


def attack_looks(attacks: Sequence[str]) -> dict[str, Look]:
    """The same for attacks, in their order; the control is grey and takes no place."""
    found = looks([attack for attack in attacks if not is_control(attack)])
    return {attack: found.get(attack, CONTROL_LOOK) for attack in attacks}


def halo() -> list[AbstractPathEffect]:
    """A white rim, so that words are read on any bar or line."""
    return [withStroke(linewidth=2.4, foreground="white")]


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of that size in inches, without any state shared with other figures."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


@contextmanager
def paper_style() -> Iterator[None]:
    """Inside, figures look as above: nothing of the user's own matplotlib style counts."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(SETTINGS)
        yield


def png_and_svg(figure: Figure) -> tuple[bytes, bytes]:
    """Both files of a figure: no dates and no random names in them."""
    png, svg = io.BytesIO(), io.BytesIO()
    figure.savefig(png, format="png", dpi=_RESOLUTION, metadata={"Software": None})
    figure.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
    return png.getvalue(), svg.getvalue()


def folded(text: str, width: int) -> str:
    """A name in lines of about that many characters, broken behind `:`, `,`, `-` or a blank."""
    lines = [""]
    for piece in re.findall(r"[^:,\s-]*[:,\s-]|[^:,\s-]+", one_line(text)):
        if lines[-1] and len(lines[-1]) + len(piece.rstrip()) > width:
            lines.append("")
        lines[-1] += piece
    return "\n".join(line.rstrip() for line in lines)


@dataclass(frozen=True)
class Legend:
    """A legend under the axes, in as few lines as the figure's width allows.

    Attributes:
        handles: what it explains; each has its label.
        width: of the figure, inches.
        handle_length: of the drawn pieces, in letters.
    """

    handles: Sequence[Artist]
    width: float
    handle_length: float = 2.0

    @property
    def lines(self) -> int:
        """How many lines it takes."""
        labels = [str(handle.get_label()) for handle in self.handles]
        return next(
            count
            for count in range(1, len(labels) + 1)
            if count == len(labels)
            or _legend_width(labels, math.ceil(len(labels) / count), self.handle_length)
            <= self.width - 0.3
        )

    @property
    def height(self) -> float:
        """About how much room it takes, inches."""
        return 0.15 + 0.175 * self.lines

    def draw(self, figure: Figure) -> None:
        """Put it into the figure."""
        figure.legend(
            handles=list(self.handles),
            loc="outside lower center",
            ncols=math.ceil(len(self.handles) / self.lines),
            frameon=False,
            handlelength=self.handle_length,
        )


def _legend_width(labels: Sequence[str], columns: int, handle_length: float) -> float:
    """About how many inches a legend takes; matplotlib fills it column by column."""
    deep, longer = divmod(len(labels), columns)
    width, start = 0.0, 0
    for column in range(columns):
        end = start + deep + (1 if column < longer else 0)
        longest = max(len(label) for label in labels[start:end])
        width += (handle_length + 2.8 + 0.62 * longest) * 8 / 72  # in letters of 8 points
        start = end
    return width


def grid_of(panels: int, most: int = 3) -> tuple[int, int]:
    """Rows and columns for that many panels: as few rows as `most` columns allow, filled evenly."""
    rows = math.ceil(panels / most)
    return rows, math.ceil(panels / rows)


def finish_grid(panels: Sequence[Axes], used: int, columns: int, label: str) -> None:
    """Clear the panels of a grid that are not used, and name the x axis of the last in each column.

    Args:
        panels: row by row; they share their x axis.
        used: how many hold something.
        columns: of the grid.
        label: of the x axis.
    """
    for panel in panels[used:]:
        panel.set_axis_off()
    for panel in panels[max(0, used - columns) : used]:
        panel.xaxis.set_tick_params(labelbottom=True)
        panel.set_xlabel(label)
