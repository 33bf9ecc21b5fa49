"""Somebody else's text made fit to be looked at: no terminal, page or table takes it for more.

And numbers with the word for what is counted.
"""

from __future__ import annotations

import unicodedata
from typing import Final

MAX_QUOTED: Final = 60
"""How much of a value an error message quotes."""

MAX_SAID: Final = 300
"""How much of what somebody else's code says an error message repeats."""

_UNSEEN: Final = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp"))
"""Categories of Unicode whose characters steer what shows text, or are not seen at all: controls,
among them escape sequences; formats, among them those that turn the direction of writing; halves of
surrogate pairs; and separators of lines and paragraphs."""


def shown(text: str, *, keep: str = "") -> str:
    r"""The text with every character that steers a terminal, or is not seen, as its number.

    An escape becomes `\x1b`, the character that turns the direction of writing `\u202e`.

    Args:
        text: of any origin.
        keep: characters that stay, such as the line feed of a text of several lines.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        numbered(one) if unicodedata.category(one) in _UNSEEN and one not in keep else one
        for one in text
    )


def shortened(text: str, length: int = MAX_QUOTED) -> str:
    """At most so many characters of a text, and a sign where some were left out."""
    return text if len(text) <= length else f"{text[:length]}..."


def briefly(text: object) -> str:
    """What an error message quotes of somebody else's text: short, and nothing in it steers."""
    return shown(shortened(str(text)))


def first_line(error: BaseException, length: int = MAX_SAID) -> str:
    """What an error says, in a line: the first one that is not empty, or the name of its type.

    Args:
        error: of any origin; some libraries say pages.
        length: the most characters.
    """
    lines = (line.strip() for line in str(error).splitlines())
    return shortened(next(filter(None, lines), type(error).__name__), length)


def numbered(character: str) -> str:
    r"""A character as its number, in the way of Python: `\x1b`, `\u202e`, `\U0001f600`."""
    code = ord(character)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def counted(number: int, one: str, several: str = "") -> str:
    """How many there are, as people say it: `1 cell`, `2,000 cells`.

    Args:
        number: of them.
        one: the word for one of them.
        several: the word for several, where it is not that with an `s`.
    """
    return f"{number:,} {one if number == 1 else several or f'{one}s'}"


def sized(number: int) -> str:
    """Bytes as people say them: `512 B`, `3.4 kB`, `1.2 GB`; a kB is 1,000 of them."""
    if number < 1_000:
        return f"{number} B"
    amount, unit = number / 1e3, "kB"
    for larger in ("MB", "GB", "TB"):
        if amount < 999.95:
            break
        amount, unit = amount / 1e3, larger
    return f"{amount:,.1f} {unit}"
