"""What a file holds beside the pixels that a hash sees, and the sentences that say so."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from PIL import ExifTags, Image
from PIL.TiffImagePlugin import TiffImageFile

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
        width: as Pillow reads it.
        height: as Pillow reads it.
        mode: Pillow's, such as `RGB`, `P`, `CMYK`, `I;16`.
        turn: its EXIF asks a viewer to turn or mirror it, and Pillow leaves that to others.
        turned: it is a TIFF that asks so; Pillow turns such a file as it reads it.
        alpha: it says how transparent its pixels are.
        several: it holds further frames or pages.
        deep: it has 16 bits a channel.
    """

    width: int
    height: int
    mode: str
    turn: bool = False
    turned: bool = False
    alpha: bool = False
    several: bool = False
    deep: bool = False


class Look:
    """Is shown an image as Pillow reads it: opened, and once more when it is decoded."""

    def __init__(self, bits: int) -> None:
        """Nothing is seen yet.

        Args:
            bits: of the image's deepest channel, by its header.
        """
        self._deep = bits > 8
        self._tiff_turned: bool | None = None
        self.seen: Seen | None = None

    def __call__(self, image: Image.Image) -> None:
        """Look at it."""
        if self._tiff_turned is None:  # a decoded TIFF is turned already, and its tag is gone
            tiff = isinstance(image, TiffImageFile)
            self._tiff_turned = tiff and _asks_to_be_turned(image)
            return
        several = False
        with contextlib.suppress(Exception):  # as below
            several = bool(getattr(image, "is_animated", False))
        self.seen = Seen(
            image.width,
            image.height,
            image.mode,
            turn=_asks_to_be_turned(image),
            turned=self._tiff_turned,
            alpha=image.mode.endswith(("A", "a")) or "transparency" in image.info,
            several=several,
            deep=self._deep or image.mode.startswith("I"),
        )


def _asks_to_be_turned(image: Image.Image) -> bool:
    # Anything may stand there; the pixels do not depend on it.
    with contextlib.suppress(Exception):
        return image.getexif().get(ExifTags.Base.Orientation) not in _UPRIGHT
    return False


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
        lambda seen: seen.turn,
        "asks by EXIF to be turned",
        "ask by EXIF to be turned",
        "none is, since the libraries hash the pixels as they are stored",
    ),
    (
        lambda seen: seen.turned,
        "is a TIFF that asks to be turned",
        "are TIFFs that ask to be turned",
        "Pillow turns such files as it reads them, so a library is given them turned",
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
        lambda seen: seen.mode in ("1", "L", "LA", "La") or seen.mode.startswith("I"),
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
