"""Words of a command line that nobody means: they are told before a command takes them for more."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Final

from hashbench.errors import UsageError

_DASHES: Final = (
    "\N{EN DASH}\N{EM DASH}\N{MINUS SIGN}\N{HYPHEN}\N{NON-BREAKING HYPHEN}\N{FIGURE DASH}"
)
"""What word processors and web pages make of the hyphens before an option."""


def refuse_slips(words: Sequence[str]) -> None:
    """Refuse a word that is empty, or that starts with a dash that is no hyphen.

    An empty one is a variable that is not set: as a path it would be the folder one is in.

    Args:
        words: of a command line, without the command's own name.

    Raises:
        UsageError: with what to type in its place.
    """
    for before, word in zip(["hashbench", *words], words, strict=False):
        option, given, value = word.partition("=")
        if given and option.startswith("--") and not value.strip():
            raise UsageError(f"nothing stands behind '{word}': is a variable not set?")
        if not word.strip():
            raise UsageError(f"an empty word stands behind '{before}': is a variable not set?")
        # Where the locale has no such letters, Python has their bytes as halves of pairs.
        letters = os.fsencode(word).decode("utf-8", "replace")
        if letters[0] in _DASHES:
            rest = letters.lstrip(_DASHES + "-")
            meant = f"-{rest}" if rest[:1].isdigit() else f"--{rest}"
            raise UsageError(f"'{letters}' starts with a dash that is no hyphen: write '{meant}'")
