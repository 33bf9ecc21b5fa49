"""The pictures of a run of matches, as steps read them: once in a process."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from typing_extensions import override

from hashbench.characters import counted
from hashbench.errors import UsageError
from hashbench.matching.picture_set import PictureSet
from hashbench.matching.pictures import Picture
from hashbench.matching.reading import drawn_pictures, read_pictures
from hashbench.matching.sizes import Size
from hashbench.progress import Progress, no_progress
from hashbench.results.matches.results import PictureSetCard
from hashbench.runner.matching.setting import PictureSource


def forget_pictures() -> None:
    """Before a plan is laid out: folders may have changed since this process read them."""
    _read.cache_clear()


def source_of(
    folder: Path | None,
    size: str,
    *,
    skip_broken: bool,
    single: bool = False,
    progress: Progress = no_progress,
) -> PictureSource:
    """Read a set of pictures.

    Args:
        folder: of images; `None` for the set that is drawn.
        size: `256x256`, or `own`.
        skip_broken: leave out what cannot be decoded.
        single: the folder may also be one image.
        progress: told of what is read.

    Raises:
        UsageError: see `read_pictures`.
    """
    found = _read(folder, size, skip_broken, single, _Told(progress))
    return PictureSource(folder, size, skip_broken, single, found.sha256, len(found.names))


def set_of(source: PictureSource) -> PictureSet:
    """The set that a plan was laid out for.

    Raises:
        UsageError: its files have changed since.
    """
    found = _read(source.folder, source.size, source.skip_broken, source.single, _Told(no_progress))
    if found.sha256 != source.sha256:
        raise UsageError(f"{source.folder}: its pictures have changed since the run was laid out")
    return found


def pictures_of(source: PictureSource) -> Sequence[Picture]:
    """Its pictures; raises as `set_of`."""
    return set_of(source).pictures


def card_of(pictures: PictureSource, strangers: PictureSource | None) -> PictureSetCard:
    """What reports say of a set of pictures."""
    found = set_of(pictures)
    notes = found.notes
    if strangers is not None:
        others = set_of(strangers)
        count = counted(len(others.names), "picture")
        notes = (*notes, f"Strangers: {count} of {others.name}.", *others.notes)
    return PictureSetCard(found.name, len(found.names), found.size, notes)


class _Told:
    """Who is told of reading: no part of what is read, so all are equal."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress

    @override
    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Told)

    @override
    def __hash__(self) -> int:
        return 0


@lru_cache(maxsize=4)
def _read(
    folder: Path | None, size: str, skip_broken: bool, single: bool, told: _Told
) -> PictureSet:
    brought = Size.of(size)
    if folder is None:
        return drawn_pictures(brought, progress=told.progress)
    return read_pictures(
        folder, brought, skip_broken=skip_broken, single=single, progress=told.progress
    )
