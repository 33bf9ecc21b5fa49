"""Where pictures come from: a folder of images, a single file, or the set that is drawn here.

Every file is read once before any work is done: what cannot be used is told then, or left out if
that was asked for. Later each is read again when its picture is needed.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from hashbench.characters import counted
from hashbench.data.cache.decode import MAX_BYTES, BrokenImageError, decoded, opened
from hashbench.data.cache.headers import HeaderError, read_header
from hashbench.data.layouts.folders import images_below
from hashbench.data.sources import local_name
from hashbench.errors import UsageError
from hashbench.files import why_no_folder
from hashbench.matching.picture_set import Content, Pictures, PictureSet, Values
from hashbench.matching.pictures import Picture
from hashbench.matching.scenes import COUNT, scene
from hashbench.matching.seen import Look, Seen, notes_on, quoted
from hashbench.matching.sizes import Size, values_at
from hashbench.progress import Progress, no_progress

SCENES: Final = "scenes"
"""The name of the set that needs no file."""


def read_pictures(
    folder: Path,
    size: Size | None = None,
    *,
    skip_broken: bool = False,
    single: bool = False,
    progress: Progress = no_progress,
) -> PictureSet:
    """Find the images of a folder and of those in it, and make sure of every one.

    Files are taken in the order of their names below the folder. Hidden ones and those that are no
    images by their names are passed over. Links to files are followed, links to folders where they
    do not lead out of the folder. What is not red, green and blue of 8 bits becomes so, as
    `hashbench.data.cache.decode.decoded` says, and the notes of the set name it.

    Args:
        folder: of the images.
        size: that all are brought to; by default 256 x 256.
        skip_broken: leave out what cannot be decoded, and note it, instead of refusing it.
        single: `folder` may also be one image.
        progress: is told of the images that were read.

    Raises:
        UsageError: there is no such folder, it holds no image, its folders cannot be read; or an
            image cannot be used: the first is named with the reason, and how many more.
    """
    size = Size() if size is None else size
    found = _found(folder, single)
    content, seen, digests = Content(), list[Seen](), list[bytes]()
    broken: list[tuple[str, str]] = []
    for done, path in enumerate(found.paths):
        try:
            digest, values, what = _read(found.root / local_name(path), size)
        except BrokenImageError as error:
            broken.append((path, str(error)))
        else:
            content.add(Picture(path, values))
            digests.append(digest)
            seen.append(what)
        progress(done + 1, len(found.paths))
    if broken and not (skip_broken and seen):
        raise UsageError(_refusal(found, broken, skip_broken))
    names = content.names
    notes = [*_passed_over(found), *_left_out(broken), *notes_on(names, seen, size)]
    return PictureSet(
        name=folder.resolve().name or str(folder),
        size=str(size),
        pictures=Pictures(names, _Files(found.root, names, tuple(digests), size)),
        names=names,
        sha256=content.sha256,
        twins=content.twins,
        notes=(*notes, *content.said()),
    )


def drawn_pictures(
    size: Size | None = None, *, count: int = COUNT, progress: Progress = no_progress
) -> PictureSet:
    """The set `scenes`, which needs no file: see `hashbench.matching.scenes`.

    Args:
        size: that all are brought to; by default 256 x 256.
        count: how many of them, from the first on.
        progress: is told of the scenes that were drawn.
    """
    drawn = _Scenes(Size() if size is None else size)
    names = tuple(f"scene-{row:03}" for row in range(count))
    pictures, content = Pictures(names, drawn), Content()
    for done, picture in enumerate(pictures):
        content.add(picture)
        progress(done + 1, count)
    note = "The pictures are drawn by a program, no photographs: --images FOLDER takes your own."
    return PictureSet(
        SCENES, str(drawn.size), pictures, names, content.sha256, content.twins, (note,)
    )


@dataclass(frozen=True)
class _Found:
    """Images below a folder, and what was passed over there."""

    root: Path
    paths: tuple[str, ...]
    others: int = 0
    hidden: int = 0


def _found(folder: Path, single: bool) -> _Found:
    if single and folder.is_file():
        return _Found(folder.parent, (folder.name,))
    if not folder.is_dir():
        raise UsageError(f"{folder}: {why_no_folder(folder)}")
    below = images_below(folder)
    found = _Found(folder, below.paths, below.others, below.hidden)
    if not found.paths:
        passed = " ".join(_passed_over(found))
        raise UsageError(
            f"{folder}: no image in it, nor in its folders; images are known by names that end in "
            f".jpg, .png, .webp, .tif, .gif, .bmp and the like{f'. {passed}' if passed else ''}"
        )
    return found


def _read(path: Path, size: Size) -> tuple[bytes, Values, Seen]:
    """A file's SHA-256, the picture's values, and what was seen of it.

    Raises:
        BrokenImageError: it cannot be used.
    """
    with opened(path) as file:
        content = file.read(MAX_BYTES)
        look = Look(_bits(content))
        with decoded(content, None, deep=True, look=look) as image:
            if look.seen is None:  # never: what is decoded was shown
                raise AssertionError(path)
            return hashlib.sha256(content).digest(), values_at(image, size), look.seen


def _bits(content: bytes) -> int:
    try:
        return read_header(content).bits
    except HeaderError:  # told where it is decoded
        return 8


@dataclass(frozen=True)
class _Files:
    """Reads the values of a picture once more."""

    root: Path
    names: tuple[str, ...]
    digests: tuple[bytes, ...]
    size: Size

    def __call__(self, row: int) -> Values:
        path = self.root / local_name(self.names[row])
        try:
            digest, values, _ = _read(path, self.size)
        except BrokenImageError as error:
            raise UsageError(f"{path}: it was sound when the run began; now {error}") from None
        if digest != self.digests[row]:
            raise UsageError(f"{path}: it has changed since the run began; start it again")
        return values


@dataclass(frozen=True)
class _Scenes:
    """Draws a scene once more."""

    size: Size

    def __call__(self, row: int) -> Values:
        return values_at(Image.fromarray(np.ascontiguousarray(scene(row))), self.size)


def _refusal(found: _Found, broken: list[tuple[str, str]], skipped: bool) -> str:
    (path, reason), *others = broken
    said = f"{found.root / path}: {reason}"
    if others:
        said += f"; {counted(len(others), 'more image')} of {len(found.paths):,} cannot be used"
    if skipped:
        return f"{said}; no image is left"
    return f"{said}; --skip-broken leaves such files out"


def _passed_over(found: _Found) -> list[str]:
    notes = []
    if found.others:
        verb = "is no image by its name" if found.others == 1 else "are no images by their names"
        notes.append(f"{counted(found.others, 'file')} {verb}, and passed over.")
    if found.hidden:
        notes.append(
            f"{counted(found.hidden, 'hidden file or folder', 'hidden files or folders')} "
            f"{'is' if found.hidden == 1 else 'are'} passed over."
        )
    return notes


def _left_out(broken: list[tuple[str, str]]) -> list[str]:
    if not broken:
        return []
    path, reason = broken[0]
    what, them = ("image is", "it") if len(broken) == 1 else ("images are", "them")
    why = f"nothing can decode {them} ({quoted(path)}: {reason})"
    return [f"{len(broken):,} {what} left out, since {why}."]
