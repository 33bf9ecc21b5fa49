"""A sheet: a table of text fields, which every text format lays out in its own way. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Tone(StrEnum):
    """What a format may show by colour; the text alone says it too."""

    PLAIN = "plain"
    NAME = "name"
    BEST = "best"
    AT_CHANCE = "at chance"
    PROBLEM = "problem"


@dataclass(frozen=True)
class Field:
    """One field of a sheet.

    Attributes:
        parts: pieces of text that may stand side by side or under each other; no markup.
        tone: for colour.
    """

    parts: tuple[str, ...]
    tone: Tone = Tone.PLAIN


@dataclass(frozen=True)
class Sheet:
    """A table of text.

    Attributes:
        title: what it shows; no text of foreign origin.
        header: one text per column.
        rows: as many fields as the header has.
        names: how many columns, from the left, name the row; the others hold numbers and words of
            this project's own.
        whole_heads: whether the header holds this project's own words alone, none of them long, so
            that none has to be broken.
        narrow: the same told in fewer columns, for where a row of this one does not fit.
        name: what a heading above it says; no text of foreign origin.
    """

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[Field, ...], ...]
    names: int
    name: str
    whole_heads: bool = False
    narrow: Sheet | None = None
