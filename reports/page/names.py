"""A name as a page shows it: where a long one may be broken. Pure."""

from __future__ import annotations

import re
from typing import Final

from markupsafe import Markup, escape

from hashbench.reports.text.lines import pieces

WHOLE: Final = 12
"""Characters that fit into the narrowest column: so much of a name is kept together."""

_BREAK: Final = Markup("<wbr>")  # it adds no character to what is copied
_EQUALS: Final = re.compile(r"(?<==)(?=.)")


def breakable(name: str) -> Markup:
    """A name, or words that hold names, as HTML with places where its lines may end.

    They are behind `:` and `,`, and behind `=` where a parameter is long; in between it breaks
    only where a part is wider than its column, which the style sheet sees to.

    Args:
        name: on one line, of any origin.
    """
    if len(name) <= WHOLE:
        return escape(name)
    found = Markup()
    last = ""
    for piece in pieces(name):
        # A blank breaks by itself; the scheme of an address stays with it.
        if last.endswith((":", ",")) and not piece.startswith((" ", "/")):
            found += _BREAK
        parts = _EQUALS.split(piece) if len(piece) > WHOLE else [piece]
        found += _BREAK.join(parts)
        last = piece
    return found
