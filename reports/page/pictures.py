"""The galleries of a page: pictures as `data:` addresses, as many as the page may hold."""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from hashbench.reports.page.numbers import percent
from hashbench.reports.text.sentences import one_line
from hashbench.results.cell import Cell
from hashbench.results.gallery import Exhibit, Gallery, GalleryReader, Hit

BUDGET: Final = 6_000_000
"""Bytes of pictures in one page, as they stand in it: four for every three of the files."""

_PNG: Final = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class Picture:
    """One picture.

    Attributes:
        address: `data:image/png;base64,...`
        words: what it shows, for who does not see it.
        width, height: in pixels.
    """

    address: str
    words: str
    width: int
    height: int


@dataclass(frozen=True)
class Found:
    """One image that a search returned.

    Attributes:
        picture: of it.
        relevant: whether it shares a label with the query.
        distance: Hamming distance to the query's code.
        labels: names of its classes.
    """

    picture: Picture
    relevant: bool
    distance: int
    labels: str


@dataclass(frozen=True)
class Shown:
    """One query before and after an attack.

    Attributes:
        query: its place among the queries.
        labels: names of its classes.
        clean, attacked, change: pictures of it.
        factor: how much larger the change is drawn, `8`.
        before, after: what the search returns, nearest first.
        scores: average precision before and after, in percent.
    """

    query: int
    labels: str
    clean: Picture
    attacked: Picture
    change: Picture
    factor: str
    before: tuple[Found, ...]
    after: tuple[Found, ...]
    scores: tuple[str, str]

    @property
    def size(self) -> int:
        """Bytes of all its pictures as they stand in the page."""
        hits = (found.picture for found in (*self.before, *self.after))
        return sum(len(one.address) for one in (self.clean, self.attacked, self.change, *hits))


@dataclass(frozen=True)
class Galleries:
    """What of the galleries stands in the page.

    Attributes:
        shown: by cell, at least one query each.
        left_out: how many queries of these cells are not shown.
        unread: of how many further attacked cells nothing is shown, be there pictures or not.
    """

    shown: dict[Cell, tuple[Shown, ...]]
    left_out: int = 0
    unread: int = 0


def galleries(cells: Iterable[Cell], read: GalleryReader, budget: int = BUDGET) -> Galleries:
    """The pictures of a page: of every cell its first query, then as many more as there is room.

    Args:
        cells: attacked ones that are done, the most telling first.
        read: gives the gallery of a cell.
        budget: bytes of all pictures together.
    """
    kept: dict[Cell, tuple[Exhibit, ...]] = {}
    shown: dict[Cell, list[Shown]] = {}
    left = budget
    unread = 0
    full = False
    for cell in cells:
        if full:
            unread += 1
            continue
        found = _readable(read(cell))
        if not found:
            continue
        first = _shown(found[0])
        if first.size > left:
            full = True
            unread += 1
            continue
        left -= first.size
        kept[cell], shown[cell] = found, [first]
    left_out = 0
    for place in range(1, max((len(found) for found in kept.values()), default=0)):
        for cell, found in kept.items():
            if place >= len(found):
                continue
            more = _shown(found[place])
            # Queries of a cell stay in their order: behind one without room there is none.
            if len(shown[cell]) < place or more.size > left:
                left_out += 1
                continue
            left -= more.size
            shown[cell].append(more)
    return Galleries({cell: tuple(found) for cell, found in shown.items()}, left_out, unread)


def _readable(gallery: Gallery | None) -> tuple[Exhibit, ...]:
    """The queries of a gallery whose pictures are all PNG files."""
    if gallery is None:
        return ()
    return tuple(one for one in gallery.exhibits if all(map(is_png, _files(one))))


def _files(one: Exhibit) -> tuple[bytes, ...]:
    return (one.clean, one.attacked, one.change, *(h.image for h in (*one.before, *one.after)))


def is_png(file: bytes) -> bool:
    """Whether a file begins as a PNG file with a pixel at least."""
    return len(file) > 24 and file.startswith(_PNG) and min(_size(file)) > 0


def _size(file: bytes) -> tuple[int, int]:
    """Width and height in pixels, of the first chunk of a PNG file."""
    width, height = struct.unpack(">II", file[16:24])
    return int(width), int(height)


def _shown(one: Exhibit) -> Shown:
    name = f"Query {one.query}"
    labels = _labels(one.labels)
    factor = f"{round(one.factor, 1):g}"
    return Shown(
        query=one.query,
        labels=labels,
        clean=picture_of(one.clean, f"{name}, {labels}"),
        attacked=picture_of(one.attacked, f"{name}, attacked"),
        change=picture_of(
            one.change, f"What the attack changed in query {one.query}, {factor} times"
        ),
        factor=factor,
        before=tuple(_found(hit, place) for place, hit in enumerate(one.before, start=1)),
        after=tuple(_found(hit, place) for place, hit in enumerate(one.after, start=1)),
        scores=(percent(one.precision[0]), percent(one.precision[1])),
    )


def _found(hit: Hit, place: int) -> Found:
    relevant = "relevant" if hit.relevant else "not relevant"
    labels = _labels(hit.labels)
    words = f"Number {place}, {relevant}: {labels}, distance {hit.distance}"
    return Found(picture_of(hit.image, words), hit.relevant, hit.distance, labels)


def _labels(names: tuple[str, ...]) -> str:
    return one_line(", ".join(names)) or "no label"


def picture_of(file: bytes, words: str) -> Picture:
    """A PNG file as a picture of the page.

    Args:
        file: that `is_png` has let through.
        words: what it shows.
    """
    address = f"data:image/png;base64,{base64.b64encode(file).decode('ascii')}"
    return Picture(address, words, *_size(file))
