"""A set of pictures that is never in memory as a whole: each is made when it is asked for."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, overload

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from hashbench.characters import counted
from hashbench.matching.pictures import Picture
from hashbench.matching.seen import quoted

Values = NDArray[np.uint8] | NDArray[np.uint16]

_KEPT: Final = 1 << 26
"""Bytes of pictures that stay in memory: 170 pictures of 256 x 256."""

_TWINS_NAMED: Final = 3


class Pictures(Sequence[Picture]):
    """Pictures in order; the ones that were asked for last are at hand, 64 MiB of them."""

    def __init__(self, names: Sequence[str], read: Callable[[int], Values]) -> None:
        """Make none yet.

        Args:
            names: of the pictures.
            read: makes the values of one of them; always the same.
        """
        self._names = tuple(names)
        self._read = read
        self._kept: OrderedDict[int, Picture] = OrderedDict()

    @override
    def __len__(self) -> int:
        return len(self._names)

    @overload
    def __getitem__(self, at: int) -> Picture: ...

    @overload
    def __getitem__(self, at: slice) -> tuple[Picture, ...]: ...

    @override
    def __getitem__(self, at: int | slice) -> Picture | tuple[Picture, ...]:
        if isinstance(at, slice):
            return tuple(self[row] for row in range(*at.indices(len(self))))
        row = range(len(self))[at]  # refuses what lies beyond the end
        if row not in self._kept:
            self._kept[row] = Picture(self._names[row], self._read(row))
            while len(self._kept) > 1 and self._bytes() > _KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(row)
        return self._kept[row]

    @override
    def __iter__(self) -> Iterator[Picture]:
        return (self[row] for row in range(len(self)))

    def _bytes(self) -> int:
        return sum(picture.values.nbytes for picture in self._kept.values())

    @override
    def __getstate__(self) -> dict[str, object]:
        """Another process makes its own pictures."""
        return {**self.__dict__, "_kept": OrderedDict()}


@dataclass(frozen=True, eq=False)
class PictureSet:
    """Pictures, and what is known of them without them.

    Attributes:
        name: of the folder, or of the set that ships.
        size: `256x256`, or `own`.
        pictures: as many as `names`; each is made when it is asked for.
        names: of the pictures, in their order.
        sha256: of the names, sizes and values of all.
        twins: rows of pictures whose files have the same 8-bit pixels, in groups of two or more;
            their pairs tell nothing of a hash, and are left out of what is counted.
        notes: sentences on what was seen of the files.
    """

    name: str
    size: str
    pictures: Sequence[Picture]
    names: tuple[str, ...]
    sha256: str
    twins: tuple[tuple[int, ...], ...] = ()
    notes: tuple[str, ...] = ()


class Content:
    """What is told of a set while its pictures pass by: its SHA-256, and which are the same."""

    def __init__(self) -> None:
        """Of no picture yet."""
        self._sum = hashlib.sha256()
        self._rows: dict[bytes, list[int]] = {}
        self._names: list[str] = []

    def add(self, picture: Picture) -> None:
        """The next picture."""
        values, name = picture.values, picture.name.encode("utf-8", "surrogatepass")
        little = values.astype(values.dtype.newbyteorder("<"), copy=False)
        head = f"{len(name)} {picture.height} {picture.width} {values.dtype.itemsize} ".encode()
        self._sum.update(head + name + hashlib.sha256(little.tobytes()).digest())
        shape = f"{picture.height} {picture.width} ".encode()
        pixels = hashlib.sha256(shape + picture.saved.tobytes()).digest()
        self._rows.setdefault(pixels, []).append(len(self._names))
        self._names.append(picture.name)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the pictures so far."""
        return tuple(self._names)

    @property
    def sha256(self) -> str:
        """Of the set so far."""
        return self._sum.hexdigest()

    @property
    def twins(self) -> tuple[tuple[int, ...], ...]:
        """Groups of rows with the same pixels."""
        return tuple(tuple(rows) for rows in self._rows.values() if len(rows) > 1)

    def said(self) -> Iterator[str]:
        """One sentence, if any pictures are the same."""
        twins = self.twins
        if not twins:
            return
        named = [quoted(self._names[row]) for row in twins[0][:_TWINS_NAMED]]
        more = len(twins[0]) - len(named)
        rest = [*named, f"{more:,} more"] if more else named
        sentence = f"{', '.join(rest[:-1])} and {rest[-1]} are the same picture"
        if len(twins) > 1:
            sentence += f", and so are those of {counted(len(twins) - 1, 'further group')}"
        yield f"{sentence}: their pairs are left out of what is counted."
