"""Plots of a run as PNG and SVG files."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import asdict, replace

from matplotlib.figure import Figure

from hashbench.reports.board.leaderboard import NO_RADIUS, Group, Leaderboard, leaderboards
from hashbench.reports.plots.curves import curves_figure
from hashbench.reports.plots.eps import eps_figure
from hashbench.reports.plots.map import map_figure
from hashbench.reports.plots.style import paper_style, png_and_svg
from hashbench.results.results import Results

_LONGEST_SLUG = 80


def plot_files(results: Results) -> dict[str, bytes]:
    """Draw every leaderboard: mAP bars, precision-recall curves, and mAP against eps.

    The same results give the same bytes. A curve that no cell has, and eps where a group has only
    one, is not drawn.

    Args:
        results: every cell of the folders that are reported.

    Returns:
        Contents by name: each picture as `.png` and `.svg`. Names hold the table's title and a
        short hash of what its numbers share.
    """
    drawn: dict[str, bytes] = {}
    with paper_style():
        for name, figure in _figures(results):
            drawn |= zip((f"{name}.png", f"{name}.svg"), png_and_svg(figure), strict=True)
    return drawn


def _figures(results: Results) -> Iterator[tuple[str, Figure]]:
    families: dict[Group, list[Leaderboard]] = {}
    for board in leaderboards(results):
        yield f"{_stem(board.group)}-map", map_figure(board)
        curves = curves_figure(board)
        if curves is not None:
            yield f"{_stem(board.group)}-precision-recall", curves
        families.setdefault(replace(board.group, eps=NO_RADIUS), []).append(board)
    for group, boards in families.items():
        figure = eps_figure(boards)
        if figure is not None:
            yield f"{_stem(group)}-eps", figure


def _stem(group: Group) -> str:
    """A readable start of a file name, and a hash that no other group has."""
    parts = [group.dataset, group.loss, group.backbone, f"{group.bits}-bits"]
    if group.eps != NO_RADIUS:
        parts.append(f"eps-{group.eps}")
    slug = re.sub("[^a-z0-9]+", "-", "-".join(parts).lower()).strip("-")[:_LONGEST_SLUG]
    digest = hashlib.sha256(json.dumps(asdict(group), sort_keys=True).encode()).hexdigest()
    return f"{slug.strip('-')}-{digest[:8]}"
