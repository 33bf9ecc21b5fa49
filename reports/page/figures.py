"""A small writer of SVG: axes, marks and lines that take their colours from the page. Pure.

Colours are classes of the page's style, `s0` to `s7` for series, so that a figure follows light and
dark. A series is told by its mark and its dashes too, never by colour alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Final

SERIES: Final = 8
"""How many colours there are; further series take them again with another mark."""

_MARKS: Final = ("o", "s", "d", "t", "v", "p")
_R: Final = 4.6


def look(place: int) -> str:
    """The classes of a series: its colour, and the dashes of its line."""
    return f"s{place % SERIES} l{(place + place // SERIES) % 5}"


def mark(place: int, x: float, y: float) -> str:
    """The mark of a series around a point.

    Args:
        place: of the series.
        x: of the point, in units of the figure.
        y: of the point, downwards.
    """
    kind = _MARKS[(place + place // SERIES) % len(_MARKS)]
    r = _R
    if kind == "o":
        return f'<circle cx="{_n(x)}" cy="{_n(y)}" r="{_n(r)}"/>'
    if kind == "s":
        return f'<rect x="{_n(x - r)}" y="{_n(y - r)}" width="{_n(2 * r)}" height="{_n(2 * r)}"/>'
    corners = {
        "d": ((0, -1.3), (1.3, 0), (0, 1.3), (-1.3, 0)),
        "t": ((0, -1.2), (1.15, 0.9), (-1.15, 0.9)),
        "v": ((0, 1.2), (1.15, -0.9), (-1.15, -0.9)),
        "p": ((-0.4, -1.2), (0.4, -1.2), (0.4, -0.4), (1.2, -0.4), (1.2, 0.4), (0.4, 0.4),
              (0.4, 1.2), (-0.4, 1.2), (-0.4, 0.4), (-1.2, 0.4), (-1.2, -0.4), (-0.4, -0.4)),
    }[kind]  # fmt: skip
    points = " ".join(f"{_n(x + r * a)},{_n(y + r * b)}" for a, b in corners)
    return f'<polygon points="{points}"/>'


def swatch(place: int, *, line: bool = False, marked: bool = True) -> str:
    """The sign of a series in a legend, beside its name.

    Args:
        place: of the series.
        line: whether it is a line.
        marked: whether it has a mark.
    """
    drawn = '<path class="line" d="M1 8H27"/>' if line else ""
    if marked:
        drawn += f'<g class="mark">{mark(place, 14, 8)}</g>'
    return (
        f'<svg class="swatch {look(place)}" viewBox="0 0 28 16" width="28" height="16" '
        f'aria-hidden="true">{drawn}</svg>'
    )


def region_swatch() -> str:
    """The sign of a shaded region in a legend."""
    return (
        '<svg class="swatch" viewBox="0 0 28 16" width="28" height="16" aria-hidden="true">'
        '<path class="region" d="M1 2H27V14H1Z"/></svg>'
    )


@dataclass(frozen=True)
class Axis:
    """One axis.

    Attributes:
        label: what it measures.
        low, high: its ends.
        ticks: values and their words.
    """

    label: str
    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]


def percents(label: str, step: int = 20) -> Axis:
    """From 0 to 100 percent."""
    return Axis(label, 0.0, 100.0, tuple((float(v), str(v)) for v in range(0, 101, step)))


@dataclass
class Figure:
    """One figure: axes, and what is drawn between them, in the order it is added.

    Attributes:
        name: of the figure's own elements, a part of an `id`.
        title: what it shows, in a few words.
        words: the same told to who does not see it.
        across, up: its axes.
        width, height: in units of about a pixel.
        shared: the name of axes that stand once in the page, see `axes`; empty for its own.
    """

    name: str
    title: str
    words: str
    across: Axis
    up: Axis
    width: int = 400
    height: int = 300
    shared: str = ""
    drawn: list[str] = field(default_factory=list)

    _left, _right, _top, _bottom = 52, 14, 12, 46

    def x(self, value: float) -> float:
        """Where a value stands across."""
        room = self.width - self._left - self._right
        span = self.across.high - self.across.low or 1.0
        return self._left + room * (value - self.across.low) / span

    def y(self, value: float) -> float:
        """Where a value stands up."""
        room = self.height - self._top - self._bottom
        span = self.up.high - self.up.low or 1.0
        return self.height - self._bottom - room * (value - self.up.low) / span

    def guide(self, start: tuple[float, float], end: tuple[float, float], words: str = "") -> None:
        """A thin line to compare with, from a point to another, and its name at the far end."""
        (x, y), (a, b) = self._at(start), self._at(end)
        self.drawn.append(f'<path class="guide" d="M{_n(x)} {_n(y)}L{_n(a)} {_n(b)}"/>')
        if words:
            self.drawn.append(
                f'<text class="hint" x="{_n(a - 4)}" y="{_n(b - 5)}" text-anchor="end">'
                f"{escape(words)}</text>"
            )

    def line(self, place: int, points: Iterable[tuple[float, float]]) -> None:
        """The line of a series; one point alone draws none."""
        there = [self._at(point) for point in points]
        if len(there) > 1:
            path = "L".join(f"{_n(x)} {_n(y)}" for x, y in there)
            self.drawn.append(f'<path class="line {look(place)}" d="M{path}"/>')

    def area(self, points: Iterable[tuple[float, float]]) -> None:
        """A shaded region, between the corners of its edge."""
        there = [self._at(point) for point in points]
        path = "L".join(f"{_n(x)} {_n(y)}" for x, y in there)
        self.drawn.append(f'<path class="region" d="M{path}Z"/>')

    def whisker(self, place: int, x: float, low: float, high: float) -> None:
        """An interval of a value up."""
        (a, b), (_, c) = self._at((x, low)), self._at((x, high))
        self.drawn.append(f'<path class="whisker {look(place)}" d="M{_n(a)} {_n(b)}V{_n(c)}"/>')

    def span(self, place: int, x: float, low: float, high: float) -> None:
        """A thick bar of a series from one value up to another."""
        (a, b), (_, c) = self._at((x, low)), self._at((x, high))
        self.drawn.append(
            f'<path class="line s{place % SERIES}" style="stroke-width:11;stroke-linecap:butt;'
            f'opacity:.55" d="M{_n(a)} {_n(b)}V{_n(c)}"/>'
        )

    def point(self, place: int, x: float, y: float, words: str, link: str = "") -> None:
        """The mark of a series at a point.

        Args:
            place: of the series.
            x: the value across.
            y: the value up.
            words: what a pointer over it tells.
            link: the name of what a click on it leads to in the page.
        """
        # No link of its own: inside of what is read as one picture nothing can be stepped to.
        goes = f' data-go="{link}"' if link else ""
        self.drawn.append(
            f'<g class="mark {look(place)}"{goes}><title>{escape(words)}</title>'
            f"{mark(place, *self._at((x, y)))}</g>"
        )

    def axes(self) -> str:
        """The axes alone, for figures that share them."""
        return f'<g id="{self.shared}">{self._axes()}</g>'

    def svg(self) -> str:
        """The figure as an element of a page."""
        ids = f"{self.name}-t", f"{self.name}-d"
        axes = f'<use href="#{self.shared}"/>' if self.shared else self._axes()
        return (
            f'<svg class="figure" viewBox="0 0 {self.width} {self.height}" role="img" '
            f'aria-labelledby="{ids[0]} {ids[1]}"><title id="{ids[0]}">{escape(self.title)}</title>'
            f'<desc id="{ids[1]}">{escape(self.words)}</desc>'
            f"{axes}{''.join(self.drawn)}</svg>"
        )

    def _at(self, point: tuple[float, float]) -> tuple[float, float]:
        return self.x(point[0]), self.y(point[1])

    def _axes(self) -> str:
        left, bottom = self._left, self.height - self._bottom
        right, top = self.width - self._right, self._top
        found = []
        for value, words in self.up.ticks:
            y = _n(self.y(value))
            found.append(f'<path class="grid" d="M{left} {y}H{right}"/>')
            found.append(
                f'<text class="tick" x="{left - 8}" y="{y}" dy=".35em" text-anchor="end">'
                f"{escape(words)}</text>"
            )
        for value, words in self.across.ticks:
            x = _n(self.x(value))
            found.append(f'<path class="grid" d="M{x} {bottom}V{top}"/>')
            found.append(
                f'<text class="tick" x="{x}" y="{bottom + 17}" text-anchor="middle">'
                f"{escape(words)}</text>"
            )
        middle = _n((left + right) / 2)
        found.append(
            f'<text class="label" x="{middle}" y="{self.height - 8}" text-anchor="middle">'
            f"{escape(self.across.label)}</text>"
        )
        up = _n((top + bottom) / 2)
        found.append(
            f'<text class="label" transform="translate(13 {up}) rotate(-90)" text-anchor="middle">'
            f"{escape(self.up.label)}</text>"
        )
        return "".join(found)


def thinned(points: Sequence[tuple[float, float]], most: int) -> list[tuple[float, float]]:
    """At most so many of some points, evenly, the first and the last among them."""
    if len(points) <= most:
        return list(points)
    last = len(points) - 1
    return [points[round(place * last / (most - 1))] for place in range(most)]


def _n(value: float) -> str:
    """A coordinate to a tenth, in as few characters as it takes."""
    return f"{value:.1f}".removesuffix(".0")
