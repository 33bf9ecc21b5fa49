"""Which of somebody's splits become train, query and database: by their names, or as asked.

People's data have `train`, `val` and `test`; a retrieval data set has a train set, queries and a
database. Pure: looks at names alone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from hashbench.characters import shortened, shown
from hashbench.data.images import SPLITS
from hashbench.data.layouts.amounts import is_amount
from hashbench.errors import UsageError
from hashbench.suggestions import did_you_mean

AUTO: Final = "auto"
"""What is not asked for."""

JOIN: Final = "+"
"""Between names of splits that are taken together."""

KINDS: Final[Mapping[str, tuple[str, ...]]] = {
    "train": ("train", "training"),
    "query": ("query", "queries"),
    "test": ("test", "testing"),
    "val": ("val", "valid", "validation", "dev"),
    "database": ("database", "gallery", "db"),
}
"""Names of splits, in any case, by what they are."""

_KIND_OF: Final = {name: kind for kind, names in KINDS.items() for name in names}

_CHOICE: Final[Mapping[str, tuple[str, ...]]] = {
    "train": ("train", "database"),
    "query": ("query", "test", "val"),
    "database": ("database", "train"),
}
"""For each role the kinds that it is taken from; the first that is there."""


@dataclass(frozen=True)
class Asked:
    """The parameters `train`, `query` and `database`: `auto`, names of splits, or amounts."""

    train: str = AUTO
    query: str = AUTO
    database: str = AUTO

    def __post_init__(self) -> None:
        kinds = {is_amount(text) for text in self.given.values()}
        if len(kinds) > 1:
            raise UsageError(
                "train, query and database name splits, or say how many images are drawn, but "
                f"not both; found {', '.join(f'{k}={shortened(v)}' for k, v in self.given.items())}"
            )

    @property
    def given(self) -> dict[str, str]:
        """Those that were set."""
        every = {"train": self.train, "query": self.query, "database": self.database}
        return {role: text for role, text in every.items() if text != AUTO}

    @property
    def amounts(self) -> dict[str, str]:
        """Those that are amounts."""
        return {role: text for role, text in self.given.items() if is_amount(text)}

    @property
    def names(self) -> dict[str, tuple[str, ...]]:
        """Those that name splits."""
        return {
            role: tuple(dict.fromkeys(text.split(JOIN)))
            for role, text in self.given.items()
            if not is_amount(text)
        }


def kind_of(name: str) -> str | None:
    """What a split of this name is: a key of `KINDS`; None for no name of a split."""
    return _KIND_OF.get(name.casefold())


def are_splits(names: Iterable[str]) -> bool:
    """Whether there is a train set or database under these names, and something to search with."""
    kinds = {kind_of(name) for name in names}
    return bool(kinds & {"train", "database"}) and bool(kinds & {"query", "test", "val"})


def chosen(names: Collection[str], asked: Asked, where: str) -> dict[str, tuple[str, ...]] | None:
    """For each role the splits that it is made of.

    Queries are the split `query`, else `test`, else `val`; the database is `database` (or
    `gallery`), else the train set; the train set is `train`, else the database. So images of a
    `val` beside a `test` are used by nobody, unless asked for.

    Args:
        names: of the splits that are there.
        asked: goes before the names' own meaning.
        where: the folder or file, for an error.

    Returns:
        Train, query and database; None where the images are to be drawn, since there is one split,
        or the parameters are amounts.

    Raises:
        UsageError: a split that is asked for is not there, two splits bear one meaning, none can be
            the queries, or a split is to be query and database at once.
    """
    for role, wanted in asked.names.items():
        for name in wanted:
            if name not in names:
                raise UsageError(
                    f"{where}: {role}={shortened(asked.given[role])}, but there is no split "
                    f"'{shortened(name)}'{did_you_mean(name, map(shown, names))}"
                )
    if asked.amounts:
        if len(names) > 1:
            role, text = next(iter(asked.amounts.items()))
            raise UsageError(
                f"{where}: {role}={text} says how many images are drawn, but there are splits "
                f"({listed(names)}); name them: {role}=NAME, or several: {role}=NAME{JOIN}NAME"
            )
        return None
    if not asked.names and len(names) == 1:
        return None
    found = dict(asked.names)
    for role in ("query", "train", "database"):
        if role not in found:
            found[role] = _by_kind(names, role, found, where)
    both = set(found["query"]) & {*found["train"], *found["database"]}
    if both:
        raise UsageError(
            f"{where}: the split '{shown(min(both))}' would be queries and train or database at "
            "once, but a query must not find itself"
        )
    return {role: found[role] for role in SPLITS}


def _by_kind(
    names: Collection[str], role: str, found: Mapping[str, tuple[str, ...]], where: str
) -> tuple[str, ...]:
    for kind in _CHOICE[role]:
        fitting = sorted(name for name in names if kind_of(name) == kind)
        if len(fitting) > 1:
            raise UsageError(
                f"{where}: {listed(fitting)} could all be the {role} split; say which: "
                f"{role}={shown(fitting[0])}, or {role}={JOIN.join(map(shown, fitting))}"
            )
        if fitting:
            return (fitting[0],)
    other = {"train": "database", "database": "train"}.get(role, "")
    if other in found:  # asked for under a name that says nothing
        return found[other]
    raise UsageError(
        f"{where}: none of the splits {listed(names)} is the {role} split by its name; say which: "
        f"{role}=NAME"
    )


def described(roles: Mapping[str, tuple[str, ...]]) -> str:
    """The choice in words, as it stands in the protocol's card."""
    return ", ".join(f"{role} from {shown(JOIN.join(roles[role]))}" for role in SPLITS)


def listed(names: Iterable[str]) -> str:
    """Names for an error, at most eight of them."""
    every = sorted(shown(shortened(name)) for name in names)
    return ", ".join(every[:8]) + (f" and {len(every) - 8:,} more" if len(every) > 8 else "")
