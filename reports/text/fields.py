"""Text of foreign origin as a field of a CSV: to no spreadsheet a formula."""

from __future__ import annotations

import re
from typing import Final

from hashbench.characters import shown

_NUMBER: Final = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")
"""What a spreadsheet reads as a number, which starts nothing."""

_STARTS: Final = (
    "=+@\N{MINUS SIGN}\N{FULLWIDTH EQUALS SIGN}\N{FULLWIDTH PLUS SIGN}"
    "\N{FULLWIDTH HYPHEN-MINUS}\N{FULLWIDTH COMMERCIAL AT}"
    "\N{SMALL EQUALS SIGN}\N{SMALL PLUS SIGN}\N{SMALL HYPHEN-MINUS}\N{SMALL COMMERCIAL AT}"
)
"""Signs that a formula may start with, in the widths that spreadsheets of East Asia take as well;
the plain minus stands in the patterns, last in its brackets."""

_QUOTES: Final = (
    "\"'`\N{LEFT SINGLE QUOTATION MARK}\N{RIGHT SINGLE QUOTATION MARK}"
    "\N{LEFT DOUBLE QUOTATION MARK}\N{RIGHT DOUBLE QUOTATION MARK}"
)

_BEFORE: Final = rf"[\s{_QUOTES}]*[{_STARTS}-]"
_FORMULA: Final = re.compile(_BEFORE)
_BEHIND_SEMICOLON: Final = re.compile(rf";(?={_BEFORE})")
"""Where the semicolon parts fields, as it does in much of Europe, a formula may start behind it."""


def field(text: str) -> str:
    r"""A text as one field: what steers is shown as its number, a formula gets an apostrophe.

    Spreadsheets take a field that starts with `=`, `+`, `-` or `@`, behind blanks and quotes as
    well, for a formula, which can start a program (OWASP, "CSV Injection"); an apostrophe before
    it says that it is text. What is a number stays one.

    Args:
        text: of any origin.
    """
    plain = shown(text)
    if _NUMBER.fullmatch(plain):
        return plain
    plain = _BEHIND_SEMICOLON.sub(";'", plain)
    return f"'{plain}" if _FORMULA.match(plain) else plain
