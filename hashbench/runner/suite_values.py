"""Values of a suite as they are said: one or several, plugins in several forms, paths."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from hashbench.coercion import quoted
from hashbench.errors import UsageError
from hashbench.plugins.base import Plugin
from hashbench.plugins.parameters import Spec, canonical
from hashbench.plugins.paths import at_home

PATHS: Final = ("root", "checkpoint", "model", "plugin")
"""The keys that hold paths."""


@dataclass(frozen=True)
class Written:
    """A plugin as a suite file says it, and the folder that its paths start from."""

    value: Any
    folder: Path


def all_at_home(said: Mapping[str, Any]) -> dict[str, Any]:
    """All keys, with `~` written out in those that hold paths."""
    return {key: _one_at_home(value, key) if key in PATHS else value for key, value in said.items()}


def _one_at_home(value: Any, key: str) -> Any:
    if isinstance(value, list | tuple):
        return [_one_at_home(one, key) for one in value]
    return at_home(str(value), key) if isinstance(value, str | Path) else value


def spec(value: Any, key: str) -> Spec:
    """A plugin in whatever form it is said; UsageError, with the key, where it is none."""
    if isinstance(value, Spec):
        return value
    if isinstance(value, Written):
        return replace(spec(value.value, key), folder=value.folder)
    if isinstance(value, str):
        return Spec.parse(value)
    if isinstance(value, Mapping):
        return Spec.from_table(value)
    if isinstance(value, Plugin):
        if not hasattr(value, "card"):
            raise UsageError(
                f"{key} holds an object of {type(value).__name__}, a class without a name: "
                f"decorate it, as with @hashbench.plugins.{key}('my-{key}')"
            )
        return Spec.parse(canonical(value))
    raise UsageError(f"{key} holds {quoted(value)}, expected a name or a table")


def many(value: Any) -> list[Any]:
    """A list of several values, of one, or of none."""
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple | range) else [value]


def distinct(values: Iterable[Any]) -> tuple[Any, ...]:
    """Each once, in the order of their first time."""
    return tuple(dict.fromkeys(values))
