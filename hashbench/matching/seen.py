"""What a file holds beside the pixels that a hash sees, and the sentences that say so."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from PIL import ExifTags, Image

from hashbench.characters import counted, shortened, shown
from hashbench.matching.sizes import Size

_UPRIGHT: Final = (None, 0, 1)
_SMALL: Final = 64
"""Pixels of a side below which PDQ, which takes 64 x 64 values, sees pixels twice."""

_MOST: Final = 200
"""Characters of a file's name in a sentence."""


@dataclass(frozen=True)
class Seen:
    """What was seen of one file, before it became red, green and blue of 8 bits.

    Attributes:
        width: as its pixels are stored.
        height: as its pixels are stored.
        mode: Pillow's, such as `RGB`, `P`, `CMYK`, `I;16`.
        turned: its EXIF asks a viewer to turn or mirror it.
        alpha: it says how transparent its pixels are.
        several: it holds further frames or pages.
        deep: it has 16 bits a channel.
    """

    width: int
    height: int
    mode: str
    turned: bool = False
    alpha: bool = False
    several: bool = False
    deep: bool = False

    @classmethod
    def of(cls, image: Image.Image, bits: int) -> Seen:
        """Look at an image that is loaded and not yet converted.

        Args:
            image: from Pillow.
            bits: of its deepest channel, by its header.
        """
        orientation = several = None
        # Anything may stand there; the pixels do not depend on it.
        with contextlib.suppress(Exception):
            orientation = image.getexif().get(ExifTags.Base.Orientation)
        with contextlib.suppress(Exception):
            several = getattr(image, "is_animated", False)
        return cls(
            image.width,
            image.height,
            image.mode,
            orientation not in _UPRIGHT,
            image.mode.endswith(("A", "a")) or "transparency" in image.info,
            bool(several),
            bits > 8,
        )


def notes_on(names: Sequence[str], seen: Sequence[Seen], size: Size) -> list[str]:
    """One sentence for each kind of thing that was seen, with how many and the first name.

    Args:
        names: of the pictures.
        seen: of each.
        size: that they were brought to.
    """
    notes = []
    for holds, one, several, sentence in _KINDS:
        found = [name for name, what in zip(names, seen, strict=True) if holds(what)]
        if found:
            verb = several if len(found) > 1 else one
            notes.append(f"{counted(len(found), 'picture')} {verb} {_first(found)}: {sentence}.")
    if size.own:
        return notes
    small = [
        name
        for name, what in zip(names, seen, strict=True)
        if what.width < size.width or what.height < size.height
    ]
    if small:
        verb = "have fewer" if len(small) > 1 else "has fewer"
        notes.append(
            f"{counted(len(small), 'picture')} {verb} pixels on a side than {size} "
            f"{_first(small)}: they are made larger."
        )
    return notes


def quoted(name: str) -> str:
    """A file's name in a sentence."""
    return f"'{shown(shortened(name, _MOST))}'"


def _first(names: Sequence[str]) -> str:
    return f"({quoted(names[0])}{', ...' if len(names) > 1 else ''})"


_KINDS: Final[tuple[tuple[Callable[[Seen], bool], str, str, str], ...]] = (
    (
        lambda seen: seen.turned,
        "asks by EXIF to be turned",
        "ask by EXIF to be turned",
        "none is, since the libraries hash the pixels as they are stored",
    ),
    (
        lambda seen: seen.alpha,
        "has transparency",
        "have transparency",
        "it is dropped, as Pillow's convert('RGB') does, so colours that nobody sees are hashed",
    ),
    (
        lambda seen: seen.mode in ("P", "PA"),
        "has a palette",
        "have a palette",
        "its colours are looked up",
    ),
    (
        lambda seen: seen.deep,
        "has 16 bits a channel",
        "have 16 bits a channel",
        "the high byte of each is taken (value // 256)",
    ),
    (
        lambda seen: seen.mode == "CMYK",
        "is in CMYK",
        "are in CMYK",
        "it becomes RGB by Pillow's formula, and no colour profile is used",
    ),
    (
        lambda seen: seen.mode.startswith(("1", "L", "I")),
        "is grey",
        "are grey",
        "red, green and blue are the same there",
    ),
    (
        lambda seen: seen.several,
        "holds several frames or pages",
        "hold several frames or pages",
        "the first is taken",
    ),
    (
        lambda seen: (seen.width, seen.height) == (1, 1),
        "is of one pixel",
        "are of one pixel",
        "the libraries hash it all the same, and no such hash says anything",
    ),
    (
        lambda seen: min(seen.width, seen.height) < _SMALL,
        f"has a side below {_SMALL} pixels",
        f"have a side below {_SMALL} pixels",
        "hashes as PDQ see the same pixels several times there",
    ),
)
