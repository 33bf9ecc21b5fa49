"""Names in lines: where a long one may be broken. Pure text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import accumulate

from rich.cells import cell_len


def broken(text: str, width: int) -> Iterator[str]:
    """Break a name into lines: behind `:`, `,` or a blank; within a word if it must.

    Args:
        text: on one line.
        width: columns that a line may take, at least 1.
    """
    line = ""
    for piece in pieces(text):
        rest = piece
        if cell_len((line + piece).rstrip()) > width and line:
            yield line.rstrip()
            line = ""
        while cell_len((line + rest).rstrip()) > width:
            cut = _fitting(rest, width)
            yield rest[:cut]
            rest = rest[cut:]
        line += rest
    yield line.rstrip()


def pieces(text: str) -> list[str]:
    """The parts of a text that are kept whole where they fit: up to `:`, `,` or a blank."""
    return re.findall(r"[^:,\s]*[:,\s]|[^:,\s]+", text) or [""]


def _fitting(text: str, width: int) -> int:
    """How many characters of a word fit: if possible up to one of `=_.-`, and at least one."""
    lengths = accumulate(cell_len(character) for character in text)
    most = max(1, sum(length <= width for length in lengths))
    return max(text.rfind(mark, 0, most) for mark in "=_.-") + 1 or most
