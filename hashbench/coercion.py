"""From what a person writes to a typed value: text, TOML or Python. Pure; needs no torch."""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

from hashbench.characters import MAX_QUOTED, shortened
from hashbench.errors import UsageError
from hashbench.exact import exact
from hashbench.suggestions import did_you_mean

_WRITTEN: Final = 5
"""How many values of a list an error message writes out."""


def coerce(value: Any, kind: Any, where: str) -> Any:
    """Read a value as the field's type.

    Numbers may be written as fractions (`1/255`), booleans as true/false, `None` as none.

    Raises:
        UsageError: the value is not of that type; `where` opens the sentence.
    """
    if typing.get_origin(kind) in (types.UnionType, typing.Union):
        choices = typing.get_args(kind)
        if type(None) in choices and (value is None or value == "none"):
            return None
        rest = [choice for choice in choices if choice is not type(None)]
        if len(rest) == 1:
            return coerce(value, rest[0], where)
    if kind is bool:
        if not isinstance(value, bool) and value not in ("true", "false"):
            raise UsageError(f"{where}: expected true or false, found '{shortened(_text(value))}'")
        return value in (True, "true")
    if kind in (int, float):
        return _number(value, kind, where)
    if kind is str:
        if not isinstance(value, str):
            raise UsageError(f"{where}: expected a text, found {shortened(_text(value, repr))}")
        return value
    if kind is Path:
        if not isinstance(value, str | Path):
            raise UsageError(f"{where}: expected a path, found {shortened(_text(value, repr))}")
        return Path(value)
    if isinstance(kind, type) and issubclass(kind, Enum):
        # By text, so that a choice that is a number can be typed as well.
        members = {str(member.value): member for member in kind}
        text = _text(value.value if isinstance(value, Enum) else value)
        if text not in members:
            raise UsageError(
                f"{where}: '{shortened(text)}' is no choice{did_you_mean(text, members)}"
            )
        return members[text]
    if hasattr(kind, "parse"):
        try:
            return kind.parse(value)
        except UsageError as error:
            raise UsageError(f"{where}: {error}") from None
    many = typing.get_origin(kind) is tuple and typing.get_args(kind)[1:] == (Ellipsis,)
    if many and isinstance(value, list | tuple):
        return tuple(coerce(item, typing.get_args(kind)[0], where) for item in value)
    raise UsageError(f"{where}: parameters of type {kind} cannot be set by name")


def _number(value: Any, kind: type[int] | type[float], where: str) -> int | float:
    wanted = "a whole number" if kind is int else "a number"
    if isinstance(value, bool):
        raise UsageError(f"{where}: expected {wanted}, found {value}")
    try:
        found = exact(value) if isinstance(value, str) else Fraction(value)
        nearest = float(found)
    except (ValueError, TypeError, ZeroDivisionError, OverflowError):
        raise UsageError(f"{where}: expected {wanted}, found '{shortened(_text(value))}'") from None
    if kind is float:
        return nearest
    if found.denominator != 1:
        raise UsageError(f"{where}: expected {wanted}, found '{shortened(_text(value))}'")
    return int(found)


def quoted(value: Any, how: Callable[[Any], str] = repr) -> str:
    """A value of any type as an error message quotes it: short, whatever it is."""
    if isinstance(value, Mapping) and value:
        return "a table"
    if isinstance(value, list | tuple) and not _is_short(value):
        return "a list"
    return shortened(_text(value[: 2 * MAX_QUOTED] if isinstance(value, str) else value, how))


def _is_short(values: Sequence[Any]) -> bool:
    """Whether a list can be written out: one that holds lists may hold too many, or nest deep."""
    nested = any(isinstance(value, Mapping | list | tuple) for value in values[: _WRITTEN + 1])
    return len(values) <= _WRITTEN and not nested


def _text(value: Any, how: Callable[[Any], str] = str) -> str:
    """A value as text; Python writes no whole number of 5,000 digits."""
    try:
        return how(value)
    except ValueError:
        return "a number of thousands of digits"
    except RecursionError:
        return "lists or tables nested too deep"
