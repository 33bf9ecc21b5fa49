"""Text as LaTeX writes it, and back: accents, and the characters that mean something there."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

_ACCENTS: Final = {
    "\u0300": "`",
    "\u0301": "'",
    "\u0302": "^",
    "\u0303": "~",
    "\u0304": "=",
    "\u0306": "u",
    "\u0307": ".",
    "\u0308": '"',
    "\u030a": "r",
    "\u030b": "H",
    "\u030c": "v",
    "\u0327": "c",
    "\u0328": "k",
}
"""LaTeX's command by the combining mark of Unicode."""

_MARKS: Final = {command: mark for mark, command in _ACCENTS.items()}

# Braces stay balanced in all of them: BibTeX counts those of `\{` too.
_CHARACTERS: Final = {
    "\\": r"\textbackslash{}",
    "{": r"\textbraceleft{}",
    "}": r"\textbraceright{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "\u00df": r"{\ss}",
    "\u00e6": r"{\ae}",
    "\u00c6": r"{\AE}",
    "\u0153": r"{\oe}",
    "\u0152": r"{\OE}",
    "\u00f8": r"{\o}",
    "\u00d8": r"{\O}",
    "\u0142": r"{\l}",
    "\u0141": r"{\L}",
    "\u2013": "--",
    "\u2014": "---",
    "\u2018": "`",
    "\u2019": "'",
    "\u201c": "``",
    "\u201d": "''",
}

_NAMED: Final = {
    re.fullmatch(r"\{?\\(\w+)\W*", text)[1]: character  # type: ignore[index]
    for character, text in _CHARACTERS.items()
    if text.startswith(("{", r"\text"))
}
"""Characters by the name of their command."""

_ACCENT: Final = re.compile(
    r"\\(?:([`'^~=.\"])\s*|([urHvck])(?:\s+|(?=\{)))(?:\{\\?([A-Za-z])\}|\\?([A-Za-z]))"
)
_COMMAND: Final = re.compile(r"\\(%s)(?![A-Za-z])(?:\{\})?" % "|".join(_NAMED))  # noqa: UP031


def to_latex(text: str) -> str:
    """Plain text for LaTeX, whose braces balance.

    Args:
        text: of any origin; letters that LaTeX has no accent for stay as they are (UTF-8).
    """
    return "".join(map(_written, unicodedata.normalize("NFC", text)))


def from_latex(text: str) -> str:
    """What LaTeX would show: accents put together; braces and unknown commands gone."""
    text = _ACCENT.sub(_composed, text)
    text = _COMMAND.sub(lambda found: f"\\{ord(_NAMED[found[1]])};", text)
    text = text.replace("---", "\u2014").replace("--", "\u2013")
    text = text.replace("``", "\u201c").replace("''", "\u201d").replace("~", "\u00a0")
    text = re.sub(r"\\[A-Za-z]+\s*", "", text)
    text = re.sub(r"(?<!\\)[{}]", "", text)
    text = re.sub(r"\\([&%$#_{}])", r"\1", text)
    return re.sub(r"\\(\d+);", lambda found: chr(int(found[1])), text).replace("\u00a0", " ")


def _written(character: str) -> str:
    if character in _CHARACTERS:
        return _CHARACTERS[character]
    base, mark = (*unicodedata.normalize("NFD", character), "")[:2]
    if mark in _ACCENTS and base.isascii():
        letter = f"\\{base}" if base in "ij" and mark != "\u0327" else base
        return f"{{\\{_ACCENTS[mark]}{{{letter}}}}}"
    return character


def _composed(found: re.Match[str]) -> str:
    mark = _MARKS[found[1] or found[2]]
    return unicodedata.normalize("NFC", (found[3] or found[4]) + mark)
