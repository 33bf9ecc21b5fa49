"""Images below class folders, as torchvision, timm, Kaggle and HuggingFace lay them out.

Looks at names and kinds alone, in sorted order, and opens no image.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from hashbench.characters import shortened, shown
from hashbench.data.layouts.file_names import is_hidden, is_image
from hashbench.data.layouts.own import MAX_IMAGES
from hashbench.data.sources import local_name, told
from hashbench.errors import UsageError

_DEEPEST: Final = 40


class Naming(StrEnum):
    """Which folder names an image's class."""

    TOP = "top"  # the first below the tree, as torchvision
    LEAF = "leaf"  # the one that the image lies in, as timm and HuggingFace
    PATH = "path"  # all of them, joined by /


@dataclass(frozen=True)
class Entry:
    """Something in a folder.

    Attributes:
        name: as text in UTF-8.
        folder: whether it is a folder, or a link to one.
    """

    name: str
    folder: bool

    @property
    def image(self) -> bool:
        """Whether it is an image by its name."""
        return not self.folder and is_image(self.name)


def entries(folder: Path) -> list[Entry]:
    """What lies in a folder, sorted by name, without what is hidden.

    Raises:
        UsageError: it cannot be read; a name is not in UTF-8, or holds a control character.
    """
    found = []
    with told(folder), os.scandir(folder) as listing:
        for entry in listing:
            if is_hidden(entry.name):
                continue
            try:
                is_folder = entry.is_dir()
            except OSError:  # a link in a circle: told where it is read
                is_folder = False
            found.append(Entry(_text(folder, entry.name), is_folder))
    return sorted(found, key=lambda entry: entry.name)


def _text(folder: Path, name: str) -> str:
    try:
        text = os.fsencode(name).decode()
    except UnicodeDecodeError:
        raise UsageError(
            f"{folder}: the name {shown(repr(os.fsencode(name))[1:])} is not in UTF-8; rename it"
        ) from None
    if any(unicodedata.category(one) == "Cc" for one in text):
        raise UsageError(f"{folder}: the name '{shown(text)}' holds a control character; rename it")
    return text


@dataclass
class Passed:
    """What a walk through folders has passed over so far; attributes as of `Below`."""

    others: int = 0
    hidden: int = 0

    def count(self, folder: Path, found: Sequence[Entry]) -> None:
        """Count what lies in a folder beside images and folders."""
        with told(folder):
            self.hidden += sum(1 for _ in folder.iterdir()) - len(found)
        self.others += sum(not entry.folder and not entry.image for entry in found)


@dataclass(frozen=True)
class Tree:
    """The images below a folder, by class.

    Attributes:
        paths: relative to the data folder, sorted.
        names: the class of each.
        empty: folders that name a class and hold no image.
        stray: images that lie in no class folder.
        nested: whether images lie deeper than in the first folder.
    """

    paths: tuple[str, ...]
    names: tuple[str, ...]
    empty: tuple[str, ...]
    stray: tuple[str, ...]
    nested: bool


def read_tree(root: Path, below: str, naming: Naming, links: Path | None) -> Tree:
    """Walk through the class folders.

    Args:
        root: the data folder.
        below: the folder of class folders, relative to it; empty for the root itself.
        naming: which folder names the class.
        links: a folder beside the root that links may lead into, resolved.

    Raises:
        UsageError: a folder cannot be read, a link leads out of the data folder or in a circle, or
            there are too many images.
    """
    top = root / local_name(below) if below else root
    found, allowed = entries(top), _allowed(root, links)
    stray = tuple(_under(below, entry.name) for entry in found if entry.image)
    paths: list[str] = []
    names: list[str] = []
    empty: list[str] = []
    nested = False
    for entry in found:
        if not entry.folder:
            continue
        before = len(paths)
        for parts in _walk(root, below, (entry.name,), allowed, ()):
            paths.append(_under(below, "/".join(parts)))
            names.append(_class_name(parts, naming))
            nested = nested or len(parts) > len(("class", "image"))
            if len(paths) > MAX_IMAGES:
                raise UsageError(f"{top}: more than {MAX_IMAGES:,} images")
        if len(paths) == before:
            empty.append(_under(below, entry.name))
    order = sorted(range(len(paths)), key=paths.__getitem__)
    return Tree(
        tuple(paths[row] for row in order),
        tuple(names[row] for row in order),
        tuple(empty),
        stray,
        nested,
    )


@dataclass(frozen=True)
class Below:
    """The images below a folder, in whatever folders.

    Attributes:
        paths: relative to the folder, with `/` between their parts; sorted.
        others: files that are no images by their names.
        hidden: files and folders that are passed over by their names.
    """

    paths: tuple[str, ...]
    others: int
    hidden: int


def images_below(root: Path) -> Below:
    """All images of a folder and of those in it.

    Raises:
        UsageError: as for `read_tree`.
    """
    passed = Passed()
    paths: list[str] = []
    for parts in _walk(root, "", (), _allowed(root, None), (), passed):
        paths.append("/".join(parts))
        if len(paths) > MAX_IMAGES:
            raise UsageError(f"{root}: more than {MAX_IMAGES:,} images")
    return Below(tuple(sorted(paths)), passed.others, passed.hidden)


def holds_images(folder: Path, deepest: int = 3) -> bool:
    """Whether an image lies in a folder or not far below; links to folders are not followed."""
    found = entries(folder)
    if any(entry.image for entry in found):
        return True
    return deepest > 0 and any(
        holds_images(folder / local_name(entry.name), deepest - 1)
        for entry in found[:100]
        if entry.folder and not (folder / local_name(entry.name)).is_symlink()
    )


def in_order(names: Sequence[str]) -> tuple[str, ...]:
    """Different class names in the order of the label columns.

    Whole numbers by size; other names by their characters, in the composed form of Unicode, since
    file systems differ in which form they keep.
    """
    different = set(names)
    if all(name.isascii() and name.isdigit() and len(name) < 30 for name in different):
        return tuple(sorted(different, key=lambda name: (int(name), name)))
    return tuple(sorted(different, key=lambda name: (unicodedata.normalize("NFC", name), name)))


def _class_name(parts: tuple[str, ...], naming: Naming) -> str:
    match naming:
        case Naming.TOP:
            return parts[0]
        case Naming.LEAF:
            return parts[-2]
        case Naming.PATH:
            return "/".join(parts[:-1])


def _walk(
    root: Path,
    below: str,
    parts: tuple[str, ...],
    allowed: tuple[str, ...],
    above: tuple[tuple[int, int], ...],
    passed: Passed | None = None,
) -> Iterator[tuple[str, ...]]:
    """The images below a folder: the names of the folders from `below` on, and the image's."""
    relative = _under(below, "/".join(parts))
    folder = root / local_name(relative)
    if len(parts) > _DEEPEST:
        raise UsageError(f"{folder}: folders are nested more than {_DEEPEST} deep")
    with told(folder):
        status = folder.stat()
    here = (status.st_dev, status.st_ino)
    if here in above:
        raise UsageError(f"{folder}: a link leads back to a folder above it")
    if folder.is_symlink():
        real = str(folder.resolve())
        if real not in allowed and not real.startswith(tuple(f"{one}/" for one in allowed)):
            way_out = (
                "the parameter links=FOLDER names a folder that links may lead into"
                if passed is None
                else "name the folder itself that it leads to"
            )
            raise UsageError(f"{folder}: a link leads out of {root}; {way_out}")
    found = entries(folder)
    if passed is not None:
        passed.count(folder, found)
    for entry in found:
        if entry.folder:
            yield from _walk(root, below, (*parts, entry.name), allowed, (*above, here), passed)
        elif entry.image:
            yield (*parts, entry.name)


def _allowed(root: Path, links: Path | None) -> tuple[str, ...]:
    found = (root.resolve(),) if links is None else (root.resolve(), links)
    return tuple(str(one).rstrip("/") for one in found)


def _under(below: str, name: str) -> str:
    return f"{below}/{name}" if below else name


def first_of(paths: Sequence[str]) -> str:
    """The first of several paths, and how many more there are, for an error."""
    more = f" and {len(paths) - 1:,} more" if len(paths) > 1 else ""
    return f"'{shown(shortened(paths[0], 200))}'{more}"
