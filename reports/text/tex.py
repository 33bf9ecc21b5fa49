r"""Text of any origin as LaTeX: ASCII that its kernel sets with any font encoding. Pure text."""

from __future__ import annotations

import unicodedata
from typing import Final

from hashbench.characters import shown

_SPECIAL: Final = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "%": r"\%",
    "&": r"\&",
    "#": r"\#",
    "_": r"\_\allowbreak{}",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\symbol{34}",
    "'": r"\symbol{39}",
    "`": r"\symbol{96}",
    # No two of these become one sign, none is read as an option of what stands before it.
    "-": "{-}",
    "!": "{!}",
    "?": "{?}",
    "[": "{[}",
    "]": "{]}",
    "*": "{*}",
    ",": "{,}",
    "†": r"$\dagger$",
    "‡": r"$\ddagger$",
    "±": r"$\pm$",
    "\N{MULTIPLICATION SIGN}": r"$\times$",
    "\N{EN DASH}": "--",
    "\N{EM DASH}": "---",
    "ß": r"\ss{}",
    "æ": r"\ae{}",
    "Æ": r"\AE{}",
    "œ": r"\oe{}",
    "Œ": r"\OE{}",
    "ø": r"\o{}",
    "Ø": r"\O{}",
    "ł": r"\l{}",
    "Ł": r"\L{}",
    "\N{LATIN SMALL LETTER DOTLESS I}": r"\i{}",
}

_ACCENTS: Final = {
    "\N{COMBINING GRAVE ACCENT}": "`",
    "\N{COMBINING ACUTE ACCENT}": "'",
    "\N{COMBINING CIRCUMFLEX ACCENT}": "^",
    "\N{COMBINING TILDE}": "~",
    "\N{COMBINING MACRON}": "=",
    "\N{COMBINING BREVE}": "u",
    "\N{COMBINING DOT ABOVE}": ".",
    "\N{COMBINING DIAERESIS}": '"',
    "\N{COMBINING RING ABOVE}": "r",
    "\N{COMBINING DOUBLE ACUTE ACCENT}": "H",
    "\N{COMBINING CARON}": "v",
    "\N{COMBINING CEDILLA}": "c",
}
"""By accent, the command that sets it over any letter."""

_BREAK: Final = r"\allowbreak{}"
_BREAK_BEHIND: Final = frozenset(",:=/.")
"""Where a name may go on in another line."""

_LONGEST_WORD: Final = 16
"""Letters after which a word may be broken, with no sign for it."""


def escape(text: str) -> str:
    """Text that LaTeX sets as it is, on one line: no command, no new cell, no missing character.

    What LaTeX's own fonts cannot set, such as Chinese or Arabic, becomes its number, `U+56F3`.

    Args:
        text: of any origin.
    """
    found = []
    letters = 0
    plain = unicodedata.normalize("NFC", shown(" ".join(text.split())))
    for place, character in enumerate(plain):
        letters = letters + 1 if character.isalnum() else 0
        if letters == _LONGEST_WORD:
            found.append(_BREAK)
            letters = 0
        around = plain[max(0, place - 1) : place + 2]
        # A number stays whole, and a blank may be broken at by itself.
        whole = around[0].isdigit() and around[-1].isdigit()
        found.append(_set(character))
        last = place + 1 == len(plain)
        if character in _BREAK_BEHIND and not (whole or last or around.endswith(" ")):
            found.append(_BREAK)
    return "".join(found)


def in_comment(text: str) -> str:
    """Lines that LaTeX does not read.

    Args:
        text: of any origin; only its line feeds stay.
    """
    lines = (shown(line).encode("ascii", "backslashreplace").decode() for line in text.split("\n"))
    return "\n".join(f"% {line}".rstrip() for line in lines)


def _set(character: str) -> str:
    if character in _SPECIAL:
        return _SPECIAL[character]
    if character.isascii():
        return character
    base, *accents = list(unicodedata.normalize("NFD", character))
    if len(accents) == 1 and accents[0] in _ACCENTS and base.isascii() and base.isalpha():
        letter = {"i": r"\i", "j": r"\j"}.get(base, base)
        return f"\\{_ACCENTS[accents[0]]}{{{letter}}}"
    return rf"U+{ord(character):04X}\allowbreak{{}}"
