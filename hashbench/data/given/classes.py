"""How data sets that a program hands over number their classes, and one numbering for all splits.

A data set of folders numbers the folders that it finds: where a split lacks a class, its numbers
are not those of another split.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from hashbench.errors import UsageError

_SHOWN: Final = 8
"""Classes of a list that an error names."""


@dataclass(frozen=True)
class Numbering:
    """What a data set says of its classes.

    Attributes:
        names: of each class number.
        changed: whether the data set makes other labels of its numbers (`target_transform`), so
            that these names need not be theirs.
    """

    names: Mapping[int, str]
    changed: bool = False

    def listed(self) -> str:
        """The names in the order of their numbers, for an error; numbers too where one lacks."""
        whole = sorted(self.names) == list(range(len(self.names)))
        shown = [
            self.names[number] if whole else f"{number} = {self.names[number]}"
            for number in sorted(self.names)
        ]
        more = [f"... ({len(shown):,})"] if len(shown) > _SHOWN else []
        return ", ".join(shown[:_SHOWN] + more)


def numbering_of(part: object, key: str | None = None) -> Numbering | None:
    """What a data set, or the one below a subset of it, says of its classes.

    Args:
        part: a data set: `class_to_idx` or `classes` of torchvision, `features` of HuggingFace.
        key: of the labels, where items are mappings.

    Returns:
        `None` where it says nothing.
    """
    members = getattr(part, "datasets", None)
    if isinstance(members, list | tuple) and members:  # joined ones
        found = [numbering_of(member, key) for member in members]
        same = all(one == found[0] for one in found)
        if not same and any(one is not None for one in found):
            first = next(at for at, one in enumerate(found) if one != found[0])
            raise UsageError(
                f"joined data sets number their classes differently: set 0 {_said(found[0])}, set "
                f"{first} {_said(found[first])}; make the same class numbers of all of them, with "
                "target_transform"
            )
        return found[0]
    names = _features(part, key) or _numbered(part) or _listed(getattr(part, "classes", None))
    changed = getattr(part, "target_transform", None) is not None
    if names is not None:
        return Numbering(names, changed)
    below = getattr(part, "dataset", None)  # of a subset
    if below is None or below is part:
        return None
    inner = numbering_of(below, key)
    return Numbering(inner.names, True) if inner is not None and changed else inner


def _numbered(part: object) -> dict[int, str] | None:
    table = getattr(part, "class_to_idx", None)
    if not isinstance(table, Mapping) or not table:
        return None
    if not all(isinstance(a, str) and isinstance(b, int) and b >= 0 for a, b in table.items()):
        return None
    names = {number: name for name, number in table.items()}
    return names if len(names) == len(table) else None  # else it has names of the same meaning


def _listed(names: Any) -> dict[int, str] | None:
    if not isinstance(names, list | tuple) or not names:
        return None
    return dict(enumerate(names)) if all(isinstance(name, str) for name in names) else None


def _features(part: object, key: str | None) -> dict[int, str] | None:
    features = getattr(part, "features", None)
    if key is None or not isinstance(features, Mapping) or key not in features:
        return None
    feature = features[key]
    inner = getattr(feature, "feature", None)  # of several labels per image
    return _listed(getattr(feature, "names", None)) or _listed(getattr(inner, "names", None))


@dataclass(frozen=True)
class CommonClasses:
    """One numbering for all splits.

    Attributes:
        names: of the classes, in the order of their columns.
        columns: by split, the column of each class number; a split that is not there has the
            columns' own numbers.
    """

    names: tuple[str, ...]
    columns: Mapping[str, Mapping[int, int]]


def common_classes(
    own: Mapping[str, Numbering | None], told: Sequence[str] | None, numbered: Sequence[str]
) -> CommonClasses | None:
    """Bring the splits' class numbers together, through the names of the classes.

    Args:
        own: what each split says of its classes.
        told: names that were given for all splits, in the order of their numbers.
        numbered: the splits whose labels are class numbers, and not names.

    Returns:
        `None` where nobody says any names.

    Raises:
        UsageError: splits number their classes differently, and names do not say how to bring
            them together; quotes two of their lists.
    """
    said = {split: one for split, one in own.items() if one is not None}
    if told is not None:
        return _as_told(said, tuple(told))
    if not said:
        return None
    first, numbering = next(iter(said.items()))
    other = next((split for split, one in said.items() if one.names != numbering.names), None)
    if other is None:
        order = sorted(numbering.names)
        column = {number: at for at, number in enumerate(order)}
        return CommonClasses(
            tuple(numbering.names[number] for number in order), dict.fromkeys(own, column)
        )
    differ = (
        f"the {first} classes are {numbering.listed()}, the {other} ones {said[other].listed()}"
    )
    for split in numbered:
        one = own[split]
        if one is None or one.changed:
            why = "have no names" if one is None else "are changed by a target_transform"
            raise UsageError(
                f"{differ}, and the {split} class numbers {why}: which classes they mean is not "
                "known; give all labels as class names, or 'classes' of the data, the names for "
                "the numbers of all splits"
            )
    for split, one in said.items():
        if len(set(one.names.values())) < len(one.names):
            raise UsageError(f"{differ}, and the {split} classes have a name twice")
    longest = max(said.values(), key=lambda one: len(one.names))
    lists = [longest, *said.values()]
    names = tuple(dict.fromkeys(one.names[at] for one in lists for at in sorted(one.names)))
    return CommonClasses(names, _by_name(said, names))


def _as_told(said: Mapping[str, Numbering], told: tuple[str, ...]) -> CommonClasses:
    """The names that were given: other words for the same numbers, or the same words."""
    known = {split: one for split, one in said.items() if not one.changed}
    by_name = {
        split: one
        for split, one in known.items()
        if len(set(one.names.values())) == len(one.names) and set(one.names.values()) <= set(told)
    }
    numbers = {name: number for number, name in enumerate(told)}
    renamed = {split: one for split, one in known.items() if split not in by_name}
    alike = all(one.names == next(iter(known.values())).names for one in renamed.values())
    for split, one in renamed.items():
        moved = any(numbers.get(name, at) != at for at, name in one.names.items())
        if moved or not alike or by_name:
            raise UsageError(
                f"the {split} classes are {one.listed()}, but 'classes' of the data are "
                f"{_listing(told)}: name the same classes, or give the labels as class names"
            )
    return CommonClasses(told, _by_name(by_name, told))


def _by_name(said: Mapping[str, Numbering], names: tuple[str, ...]) -> dict[str, Mapping[int, int]]:
    columns = {name: at for at, name in enumerate(names)}
    return {
        split: {number: columns[name] for number, name in one.names.items()}
        for split, one in said.items()
    }


def _listing(names: Sequence[str]) -> str:
    return Numbering(dict(enumerate(names))).listed()


def _said(one: Numbering | None) -> str:
    if one is None:
        return "names none"
    return f"has {one.listed()}" + (" and a target_transform" if one.changed else "")
