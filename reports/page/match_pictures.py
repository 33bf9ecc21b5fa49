"""The pictures of a page of matches: clean, attacked, what was changed, and the stranger."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from hashbench.errors import FileError
from hashbench.reports.matches.rows import Group, is_done, radius_order
from hashbench.reports.page.numbers import anchor
from hashbench.reports.page.pictures import BUDGET, Picture, picture_of
from hashbench.reports.text.sentences import one_line
from hashbench.results.matches.results import (
    LEAST,
    KeptPicture,
    MatchCell,
    MatchResult,
    Threat,
)
from hashbench.results.pictures import change, filling, size_of

LONGEST: Final = 1_024
"""Pixels of the longer side of a picture that a page shows."""

MOST: Final = 4
"""Pictures of one cell."""

Reader = Callable[[MatchCell], tuple[KeptPicture, ...]]


@dataclass(frozen=True)
class Shown:
    """One picture before and after an attack.

    Attributes:
        name: of its file, on one line.
        clean, attacked, change: pictures of it.
        factor: how much larger the change is drawn.
        distance: what the hash says of the attacked file, in words.
        stranger: the picture that it matches; `None` for an evasion.
        stranger_name: of its file.
    """

    name: str
    clean: Picture
    attacked: Picture
    change: Picture
    factor: str
    distance: str
    stranger: Picture | None
    stranger_name: str

    @property
    def size(self) -> int:
        """Bytes of its pictures as they stand in the page."""
        stranger = [self.stranger] if self.stranger is not None else []
        return sum(len(one.address) for one in (self.clean, self.attacked, self.change, *stranger))


@dataclass(frozen=True)
class Exhibition:
    """The pictures of one cell.

    Attributes:
        id: of its section.
        title: hash, attack and radius, on one line.
        shown: its pictures.
    """

    id: str
    title: str
    shown: tuple[Shown, ...]


@dataclass(frozen=True)
class Exhibitions:
    """What of the kept pictures stands in a page.

    Attributes:
        of: by place of the group.
        left_out: pictures for which there was no room.
    """

    of: tuple[tuple[Exhibition, ...], ...]
    left_out: int


def exhibitions(groups: Iterable[Group], read: Reader, budget: int = BUDGET) -> Exhibitions:
    """The pictures of a page: of every cell its first one, then as many more as there is room.

    A cell at a larger radius comes before one at a smaller one, so that the change is seen.

    Args:
        groups: the sets of pictures.
        read: gives what was kept of a cell; what is no plain PNG file is not shown.
        budget: bytes of all pictures together.
    """
    places = list(groups)
    found = [(at, cell) for at, group in enumerate(places) for cell in _telling(group)]
    files = [_readable(read(result.cell)) for _, result in found]
    shown: list[list[Shown]] = [[] for _ in found]
    left, left_out = budget, 0
    for turn in range(MOST):
        for (_, result), kept, own in zip(found, files, shown, strict=True):
            if turn >= len(kept):
                continue
            one = _shown(kept[turn], result) if len(own) == turn and left > 0 else None
            if one is None or one.size > left:
                left_out += 1
                continue
            left -= one.size
            own.append(one)
    return Exhibitions(
        tuple(
            tuple(
                Exhibition(_anchor(result.cell), _title(result.cell), tuple(own))
                for (place, result), own in zip(found, shown, strict=True)
                if place == at and own
            )
            for at in range(len(places))
        ),
        left_out,
    )


def _telling(group: Group) -> list[MatchResult]:
    """Attacked cells that are done: by hash and attack, the largest radius first."""
    done = [one for one in (*group.of(Threat.EVASION), *group.of(Threat.COLLISION)) if is_done(one)]
    rank = {eps: -at for at, eps in enumerate(sorted({d.cell.eps for d in done}, key=radius_order))}
    return sorted(
        done,
        key=lambda d: (d.cell.hash, d.threat != Threat.EVASION, d.cell.attack, rank[d.cell.eps]),
    )


def _readable(kept: tuple[KeptPicture, ...]) -> tuple[KeptPicture, ...]:
    return tuple(one for one in kept if _is_plain(one))[:MOST]


def _is_plain(one: KeptPicture) -> bool:
    """Whether its files are plain PNG files, the clean and the attacked one of the same size."""
    try:
        sizes = [size_of(file, LONGEST) for file in (one.clean, one.attacked)]
        if one.stranger:
            size_of(one.stranger, LONGEST)
        filling(one.clean, one.attacked)
    except (FileError, ValueError):
        return False
    return (sizes[0].width, sizes[0].height) == (sizes[1].width, sizes[1].height)


def _shown(one: KeptPicture, result: MatchResult) -> Shown:
    name, other = one_line(one.name), one_line(one.stranger_name)
    factor = filling(one.clean, one.attacked)
    told = f"{factor:.3g}"
    return Shown(
        name=name,
        clean=picture_of(one.clean, f"{name}, clean"),
        attacked=picture_of(one.attacked, f"{name}, attacked"),
        change=picture_of(
            change(one.clean, one.attacked, factor),
            f"What the attack changed in {name}, {told} times",
        ),
        factor=told,
        distance=f"distance {one.distance:,}, T {result.threshold:,}",
        stranger=picture_of(one.stranger, f"The stranger {other}") if one.stranger else None,
        stranger_name=other,
    )


def _title(cell: MatchCell) -> str:
    eps = "least eps" if cell.eps == LEAST else f"eps {cell.eps}"
    return one_line(f"{cell.hash}, {cell.attack}, {eps}")


def _anchor(cell: MatchCell) -> str:
    return anchor("g", *vars(cell).values())
