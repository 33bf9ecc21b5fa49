"""Plots of a run as PNG and SVG files, or one of them as a figure."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Final

from matplotlib.figure import Figure

from hashbench.eps import Norm
from hashbench.reports.board.leaderboard import NO_RADIUS, Group, Leaderboard, leaderboards
from hashbench.reports.board.radii import families
from hashbench.reports.plots.certified import certified_eps_figure, certified_figure
from hashbench.reports.plots.curves import curves_figure
from hashbench.reports.plots.eps import eps_figure
from hashbench.reports.plots.map import map_figure
from hashbench.reports.plots.scatter import clean_robust_figure, training_figure
from hashbench.reports.plots.style import DARK, LIGHT, Theme, paper_style, png_and_svg, settled
from hashbench.results.results import Results

THEMES: Final[Mapping[str, Theme]] = {"light": LIGHT, "dark": DARK}

LEFT_OUT: Final = "not-drawn.txt"
"""The file that names the pictures that were left out."""

_LONGEST_SLUG = 80
_A_PART = (
    " A part of the results draws\n"
    "its own: hashbench report RESULTS --dataset D --bits B --eps E --format plots -o FOLDER."
)
_FILE_KINDS: Final[Mapping[str, Callable[[Leaderboard, Theme], Figure | None]]] = {
    "map": map_figure,
    "certified": certified_figure,
    "clean-robust": clean_robust_figure,
    "training": training_figure,
    "precision-recall": curves_figure,
}
"""How each kind of picture of one table is drawn, by the end of its file's name."""


OVER_RADII: Final[Mapping[str, Callable[[Sequence[Leaderboard], Theme], Figure | None]]] = {
    "eps": eps_figure,
    "certified-eps": certified_eps_figure,
}
"""The same of those of tables that differ in the radius alone, of one norm."""


@dataclass(frozen=True)
class _Picture:
    """One that can be drawn.

    Attributes:
        kind: the end of its file's name.
        group: what its numbers share.
        boards: the tables that it is of.
        draw: gives `None` where the tables hold nothing of the kind.
    """

    kind: str
    group: Group
    boards: tuple[Leaderboard, ...]
    draw: Callable[[Theme], Figure | None]


def plot_files(
    results: Results, theme: str = "light", *, transparent: bool = False, most: int = 0
) -> dict[str, bytes]:
    """Draw every leaderboard: bars of mAP, proofs, clean against robust, training, curves, radii.

    The same results give the same bytes. A kind of picture for which the results hold nothing (a
    curve that no cell has, eps where a group has only one) is not drawn.

    Args:
        results: every cell of the folders that are reported.
        theme: `light` or `dark`.
        transparent: without the page behind the picture.
        most: pictures that are drawn; 0 for all. Those over eps come first, then bars, then the
            points, then the curves; what is left out is named in `not-drawn.txt`.

    Returns:
        Contents by name: each picture as `.png` and `.svg`. A name is made of what stands in the
        table's title, as in `fashion-csq-small-cnn-32bits-eps-24-255-map.png`; only where two
        tables would have the same one (two protocols, two trainings), or where it is too long, a
        short hash of what its numbers share stands before the last word.
    """
    pictures = _pictures(results)
    plain = [
        Name(slug_of(_words(one.group)), digest_of(asdict(one.group)), one.kind) for one in pictures
    ]
    draws = [one.draw for one in pictures]
    return written(names_of(plain), draws, theme, transparent=transparent, most=most, part=_A_PART)


@dataclass(frozen=True)
class Name:
    """Of what the name of a picture's files is made.

    Attributes:
        slug: of what stands in the title of its table.
        digest: a short hash of what its numbers share.
        kind: of picture.
    """

    slug: str
    digest: str
    kind: str


def written(
    names: Sequence[str],
    draws: Sequence[Callable[[Theme], Figure | None]],
    theme: str,
    *,
    transparent: bool,
    most: int,
    part: str,
) -> dict[str, bytes]:
    """Each picture as two files, and the names of those that are left out.

    Args:
        names: of the pictures' files, without their suffix.
        draws: draws each of them; gives `None` where there is nothing of the kind.
        theme: `light` or `dark`.
        transparent: without the page behind the picture.
        most: pictures that are drawn; 0 for all.
        part: says how a part of the results is drawn; its lines end with line feeds.
    """
    drawn: dict[str, bytes] = {}
    left: list[str] = []
    count = 0
    with paper_style(THEMES[theme]):
        for name, draw_on in zip(names, draws, strict=True):
            if most and count >= most:
                left.append(name)
                continue
            figure = draw_on(THEMES[theme])
            if figure is not None:
                count += 1
                files = png_and_svg(settled(figure), transparent=transparent)
                drawn |= zip((f"{name}.png", f"{name}.svg"), files, strict=True)
    if left:
        drawn[LEFT_OUT] = _left_out(count, left, part).encode()
    return drawn


def draw(kind: str, boards: Sequence[Leaderboard], theme: str = "light") -> Figure | None:
    """One figure, ready to be shown or saved; `None` where the tables hold nothing of the kind.

    Args:
        kind: the end of the file's name.
        boards: the table; for a kind of `OVER_RADII` those that differ in the radius alone, of one
            norm, sorted by it.
        theme: `light` or `dark`.
    """
    with paper_style(THEMES[theme]):
        if kind in OVER_RADII:
            figure = OVER_RADII[kind](boards, THEMES[theme])
        else:
            figure = _FILE_KINDS[kind](boards[0], THEMES[theme])
        return None if figure is None else settled(figure)


def _pictures(results: Results) -> list[_Picture]:
    """All that may be drawn, the most telling ones first."""
    boards = leaderboards(results)
    return [*_over_eps(boards), *_of_tables(boards)]


def _over_eps(boards: Sequence[Leaderboard]) -> Iterator[_Picture]:
    for (group, norm), members in families(boards).items():
        # Of L-infinity the name has no radius; of L2 it names the norm in its place.
        named = group if norm is Norm.LINF else replace(group, eps=norm)
        if len(members) > 1:
            for kind, how in OVER_RADII.items():
                if kind == "eps" or any(board.has_certificates for board in members):
                    yield _Picture(kind, named, members, partial(how, members))


def _of_tables(boards: Sequence[Leaderboard]) -> Iterator[_Picture]:
    for kind, how in _FILE_KINDS.items():
        for board in boards:
            if kind == "certified" and not board.has_certificates:
                continue
            yield _Picture(kind, board.group, (board,), partial(how, board))


def _left_out(count: int, left: Sequence[str], part: str) -> str:
    lines = [
        f"{count} pictures are drawn; these {len(left):,} are not.{part}",
        "All of them: --format plots:most=0.",
        "",
        *left,
    ]
    return "\n".join(lines) + "\n"


def names_of(plain: Sequence[Name]) -> list[str]:
    """A file name for each, without its suffix; no two are the same, nor become so in capitals."""
    counts = Counter(f"{one.slug}-{one.kind}" for one in plain)
    return [
        f"{one.slug}-{one.kind}"
        if counts[f"{one.slug}-{one.kind}"] == 1 and 0 < len(one.slug) <= _LONGEST_SLUG
        else "-".join(filter(None, (one.slug[:_LONGEST_SLUG].strip("-"), one.digest, one.kind)))
        for one in plain
    ]


def slug_of(words: Sequence[str]) -> str:
    """A readable start of a file name: lower-case letters, digits and single dashes.

    So is a radius in it, `eps-8-255` and `eps-l2-0-5`, since no file system takes `/` in a name and
    some take no `:`.
    """
    return re.sub("[^a-z0-9]+", "-", "-".join(words).lower()).strip("-")


def digest_of(what: Mapping[str, object]) -> str:
    """A short hash of what parts the numbers of one picture from those of another."""
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:8]


def _words(group: Group) -> list[str]:
    parts = [group.dataset, group.loss, group.backbone, f"{group.bits}bits"]
    if group.eps != NO_RADIUS:
        parts.append(group.eps if group.eps in set(Norm) else f"eps-{group.eps}")
    return parts
