"""Names beside points, none on another one, on a point, or outside of its axes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Annotation, Text
from matplotlib.transforms import Bbox

from hashbench.reports.plots.style import Theme, folded, halo, named

_LINE: Final = 26  # characters
_MARK: Final = 5.0  # points: half a marker, with room around
_NEAR: Final = 8.0  # points from a marker to the middle of the nearest edge
_RINGS: Final = 12
_AROUND: Final = 16


@dataclass(frozen=True)
class Named:
    """A point of a scatter.

    Attributes:
        x, y: where it is, as the axes count.
        name: what stands beside it.
    """

    x: float
    y: float
    name: str


def write_names(figure: Figure, axes: Axes, points: Sequence[Named], theme: Theme) -> None:
    """Put every name at the nearest free place around its point, with a line where that is far.

    A name that finds none is left out: the legend has all. The figure must be laid out already.
    """
    pixel = figure.dpi / 72
    room = axes.get_window_extent()
    marks = [
        Bbox.from_bounds(x - _MARK * pixel, y - _MARK * pixel, 2 * _MARK * pixel, 2 * _MARK * pixel)
        for x, y in axes.transData.transform([(point.x, point.y) for point in points])
    ]
    taken = [*marks, *(line.get_window_extent() for line in axes.lines if _straight(line))]
    for point, mark in zip(points, marks, strict=True):
        text = axes.annotate(
            folded(named(point.name), _LINE),
            (point.x, point.y),
            xytext=(0, 0),
            textcoords="offset points",
            ha="center",
            va="center",
            fontsize=7,
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": theme.edge, "linewidth": 0.5, "shrinkB": 3},
        )
        text.set(path_effects=halo(theme), in_layout=False, zorder=4)
        size = _size(figure, text)
        middle = ((mark.x0 + mark.x1) / 2, (mark.y0 + mark.y1) / 2)
        for x, y, far in _offsets(size[0] / pixel, size[1] / pixel):
            box = Bbox.from_bounds(
                middle[0] + x * pixel - size[0] / 2, middle[1] + y * pixel - size[1] / 2, *size
            )
            inside = room.x0 <= box.x0 and box.x1 <= room.x1
            inside = inside and room.y0 <= box.y0 and box.y1 <= room.y1
            if inside and not any(_meet(box, other) for other in taken):
                text.set_position((x, y))
                if not far and text.arrow_patch is not None:
                    text.arrow_patch.set_visible(False)
                taken.append(box)
                break
        else:
            text.remove()


def _offsets(width: float, height: float) -> Iterator[tuple[float, float, bool]]:
    """Where the middle of a text may stand from its point, in points, and whether that is far."""
    for ring in range(_RINGS):
        gap = _NEAR + 7.0 * ring
        for step in range(_AROUND):
            angle = 2 * math.pi * step / _AROUND
            x, y = math.cos(angle), math.sin(angle)
            yield x * (width / 2 + gap), y * (height / 2 + gap), ring > 1


def _size(figure: Figure, text: Annotation) -> tuple[float, float]:
    """Width and height of a text alone, pixels, with a little room."""
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    box = Text.get_window_extent(text, renderer)  # an annotation's own holds its line too
    return box.width + 2, box.height + 2


def _straight(line: Line2D) -> bool:
    """Whether it goes along an axis, as the line of chance does."""
    data = (np.asarray(line.get_xdata()), np.asarray(line.get_ydata()))
    return any(len(np.unique(values)) == 1 for values in data)


def _meet(one: Bbox, other: Bbox) -> bool:
    apart = one.x0 > other.x1 or other.x0 > one.x1 or one.y0 > other.y1 or other.y0 > one.y1
    return not apart
