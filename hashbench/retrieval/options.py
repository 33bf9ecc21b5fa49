"""The closed choices of this room, as enums, and the one way to read them from a word."""

from __future__ import annotations

from enum import StrEnum
from typing import TypeVar

from hashbench.errors import UsageError

E = TypeVar("E", bound=StrEnum)


class Ties(StrEnum):
    """What happens to items at equal Hamming distance.

    ``EXPECTED`` is the mean over every order inside each tie (McSherry and Najork, ECIR 2008),
    ``STABLE`` keeps the order of the database, ``BEST`` and ``WORST`` are the largest and the
    smallest value that any order inside the ties reaches, separately for each query.
    """

    EXPECTED = "expected"
    STABLE = "stable"
    BEST = "best"
    WORST = "worst"


class Normalize(StrEnum):
    """What the sum of precisions in an average precision is divided by.

    ``RETRIEVED``: the relevant items inside the list (the habit of the hashing papers).
    ``RELEVANT``: all relevant items of the database.
    ``CAPPED``: the most that the list could have held, ``min(top_k, relevant)``.
    The three agree where the list is the whole database.
    """

    RETRIEVED = "retrieved"
    RELEVANT = "relevant"
    CAPPED = "capped"


class Weighting(StrEnum):
    """How the relevant items are weighed in a center code.

    ``UNIFORM``: all alike (CgAT, Wang et al., WWW 2023, as released).
    ``COSINE``: by the cosine of the label rows (the mainstay code of SAAT, Yuan et al., TIFS 2023).
    """

    UNIFORM = "uniform"
    COSINE = "cosine"


class RecallRounding(StrEnum):
    """How many relevant items ``level * relevant`` asks for, where it is not a whole number.

    ``UP``: the shortest list that reaches the level. ``DOWN``: the longest that stays at or below
    it (SAAT's curve); where that asks for no item at all the precision is 0.
    """

    UP = "up"
    DOWN = "down"


class Kernel(StrEnum):
    """What counts distances; the counts are the same.

    ``NUMPY`` is always there, ``COMPILED`` needs numba (the extra ``fast``) and takes a few seconds
    to compile once per process. ``AUTO`` compiles where numba is installed and the number of pairs
    of queries and items makes up for that, or where that was done before. A GPU has its own.
    """

    AUTO = "auto"
    NUMPY = "numpy"
    COMPILED = "compiled"


def choice(kind: type[E], value: str, argument: str) -> E:
    """``value`` as a member of ``kind``; ValueError that names ``argument`` and the members."""
    try:
        return kind(value)
    except ValueError:
        names = ", ".join(repr(str(member)) for member in kind)
        raise UsageError(f"{argument}: expected one of {names}, found {value!r}") from None
