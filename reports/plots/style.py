"""How plots look: colours of a theme, sizes, and figures turned into the same bytes every time."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patheffects import AbstractPathEffect, withStroke

from hashbench.characters import shortened
from hashbench.reports.text.sentences import one_line

LONGEST_NAME: Final = 60
"""Characters of a plugin's text that a picture shows."""


@dataclass(frozen=True)
class Theme:
    """Colours of one kind of page.

    Attributes:
        page: the background.
        ink: of text, and of what stands for clean queries.
        grid, edge: of the lines behind and around the numbers.
        muted: of the line of chance.
        control: of the control, random noise.
        problem: of words that say what is missing.
        palette: hues of the series. Okabe and Ito (2008), told apart with every kind of colour
            blindness, without their yellow and black; purple and brown, which differ from them in
            lightness too, make eight.
    """

    page: str
    ink: str
    grid: str
    edge: str
    muted: str
    control: str
    problem: str
    palette: tuple[str, ...]


LIGHT: Final = Theme(
    page="#ffffff",
    ink="#222222",
    grid="#e4e4e4",
    edge="#888888",
    muted="#555555",
    control="#9a9a9a",
    problem="#b3261e",
    palette=(
        "#0072b2",
        "#e69f00",
        "#009e73",
        "#cc79a7",
        "#56b4e9",
        "#d55e00",
        "#6a3d9a",
        "#7a5230",
    ),
)

DARK: Final = Theme(
    page="#14171a",
    ink="#ececec",
    grid="#343a40",
    edge="#7c858d",
    muted="#b4bcc4",
    control="#8a8a8a",
    problem="#ff8a80",
    palette=(
        "#3b8fd9",
        "#e69f00",
        "#00b388",
        "#e08fbd",
        "#7cc8f5",
        "#f0703a",
        "#a585dd",
        "#b98d5f",
    ),
)

# Keys of type Any: from version 3.11 on matplotlib types each key as a literal.
SETTINGS: Final[dict[Any, Any]] = {
    "font.family": "DejaVu Sans",  # ships with matplotlib: the same letters on every machine
    "font.size": 8.5,
    "axes.titlesize": 9,
    "axes.labelsize": 8.5,
    "figure.labelsize": 8.5,
    "legend.fontsize": 8,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.linewidth": 0.6,
    "hatch.linewidth": 0.6,
    "text.parse_math": False,  # a `$` in a plugin's name is a dollar
    "text.usetex": False,
    "svg.fonttype": "none",  # labels stay text that can be searched and edited
    "svg.hashsalt": "hashbench",
    "figure.constrained_layout.use": False,
}

_RESOLUTION = 200
_ON_SCREEN = 110


def halo(theme: Theme) -> list[AbstractPathEffect]:
    """A rim of the page's colour, so that words are read on any bar or line."""
    return [withStroke(linewidth=2.4, foreground=theme.page)]


@contextmanager
def _quiet() -> Iterator[None]:
    """Inside, letters that the font lacks are not warned of: an SVG has them as text all the same.

    In a PNG they are boxes.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield


class Picture(Figure):
    """A figure that a notebook shows by itself, once, with `pyplot` or without it."""

    def _repr_png_(self) -> bytes:
        """What a notebook shows."""
        png = io.BytesIO()
        with paper_style(), _quiet():
            self.savefig(png, format="png", dpi=_ON_SCREEN, facecolor=self.get_facecolor())
        return png.getvalue()


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of that size in inches, without any state shared with other figures."""
    figure = Picture(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def settled(figure: Figure) -> Figure:
    """The same figure, its parts where they fit: laid out once, for every file made of it."""
    if isinstance(figure.get_layout_engine(), ConstrainedLayoutEngine):
        with _quiet():
            figure.draw_without_rendering()
        figure.set_layout_engine("none")
    return figure


@contextmanager
def paper_style(theme: Theme = LIGHT) -> Iterator[None]:
    """Inside, figures look as above: nothing of the user's own matplotlib style counts."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(SETTINGS)
        matplotlib.rcParams.update(_colors(theme))
        yield


def _colors(theme: Theme) -> dict[Any, Any]:
    pages = ("figure.facecolor", "axes.facecolor", "savefig.facecolor")
    inks = (
        "text.color",
        "axes.labelcolor",
        "axes.titlecolor",
        "xtick.labelcolor",
        "ytick.labelcolor",
    )
    edges = ("axes.edgecolor", "xtick.color", "ytick.color")
    return {
        **dict.fromkeys(pages, theme.page),
        **dict.fromkeys(inks, theme.ink),
        **dict.fromkeys(edges, theme.edge),
        "grid.color": theme.grid,
    }


def png_and_svg(figure: Figure, *, transparent: bool = False) -> tuple[bytes, bytes]:
    """Both files of a figure: no dates and no random names in them.

    Args:
        figure: to be written.
        transparent: without the page behind it.
    """
    png, svg = io.BytesIO(), io.BytesIO()
    nameless: dict[str, Any] = {"png": {"Software": None}, "svg": {"Date": None, "Creator": None}}
    with _quiet():
        for form, file in (("png", png), ("svg", svg)):
            figure.savefig(
                file,
                format=form,
                dpi=_RESOLUTION,
                metadata=nameless[form],
                transparent=transparent,
            )
    return png.getvalue(), svg.getvalue()


def named(text: str) -> str:
    """A plugin's text on one line, no longer than a picture can bear."""
    return shortened(one_line(text), LONGEST_NAME)


def folded(text: str, width: int) -> str:
    """A name in lines of about that many characters, broken behind `:`, `,`, `-` or a blank.

    A piece without such a place is cut where its line ends.
    """
    lines = [""]
    for piece in re.findall(r"[^:,\s-]*[:,\s-]|[^:,\s-]+", one_line(text)):
        for start in range(0, len(piece), width):
            part = piece[start : start + width]
            if lines[-1] and len(lines[-1]) + len(part.rstrip()) > width:
                lines.append("")
            lines[-1] += part
    return "\n".join(line.rstrip() for line in lines)
