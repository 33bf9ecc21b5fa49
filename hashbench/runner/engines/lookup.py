"""Engines by name, as `--engine` and `hashbench.run(engine=...)` are given one."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

from hashbench.errors import UsageError
from hashbench.suggestions import did_you_mean

if TYPE_CHECKING:
    from hashbench.runner.engines.contract import Engine

LOCAL: Final = "local"
"""The engine that is used where none is named."""

_HOMES: Final = {
    LOCAL: ("hashbench.runner.engines.local", "LocalEngine"),
    "ray": ("hashbench.runner.engines.ray_engine", "RayEngine"),
}
"""Module and class; imported when it is asked for, since one may need a package of an extra."""


def find_engine(name: str) -> Engine:
    """The engine of this name.

    Raises:
        UsageError: there is none; names the nearest.
    """
    if name not in _HOMES:
        raise UsageError(f"there is no engine '{name}'{did_you_mean(name, _HOMES)}")
    module, engine = _HOMES[name]
    found: Engine = getattr(import_module(module), engine)()
    return found
