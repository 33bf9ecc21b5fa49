"""Names that moved: the old ones work for one minor version more, and say what to write instead.

    if not TYPE_CHECKING:
        __getattr__ = former_names(__name__, {"Old": "hashbench.room.New"}, gone="0.2")

Checkers do not see it, so that an old or misspelled name stays an error for them. The new place is
text: a room may name one that it must not import.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Mapping
from importlib import import_module


def former_names(
    module: str, names: Mapping[str, str], *, gone: str, callers: int = 1
) -> Callable[[str], object]:
    """The `__getattr__` of a module some of whose names have moved.

    The first use of an old name in a process warns, with `DeprecationWarning`, where it is used.

    Args:
        module: its `__name__`.
        names: of each old name where it is now, in full: `hashbench.room.Name`.
        gone: the version of hashbench that no longer has the old names, such as `0.2`.
        callers: 1, or 2 where the module has a `__getattr__` of its own that ends in this one: the
            warning is to point to the line that uses the name.

    Returns:
        A function that finds an old name, and raises `AttributeError` for every other one.
    """

    def find(name: str) -> object:
        if name not in names:
            raise AttributeError(f"module '{module}' has no attribute '{name}'")
        new = names[name]
        _warn(f"{module}.{name}", new, gone, level=2 + callers)
        room, _, there = new.rpartition(".")
        found: object = getattr(import_module(room), there)
        # Kept, so that one `from module import name`, which asks twice, warns once.
        vars(sys.modules[module])[name] = found
        return found

    return find


def moved_module(module: str, new: str, *, gone: str) -> Callable[[str], object]:
    """The `__getattr__` of a module that has moved as a whole; warns at once, when it is imported.

    Args:
        module: its `__name__`.
        new: where it is now.
        gone: the version of hashbench that no longer has the old one.
    """
    _warn(module, new, gone, level=4)

    def find(name: str) -> object:
        found: object = getattr(import_module(new), name)
        return found

    return find


def former_argument(function: str, old: str, new: str, *, gone: str) -> None:
    """Warn of the former name of an argument, at the line that called `function`.

    To be called from the function itself, with its full name.
    """
    _warn(f"{function}({old}=...)", f"{function}({new}=...)", gone, level=4)


def _warn(old: str, new: str, gone: str, *, level: int) -> None:
    warnings.warn(
        f"{old} is now {new}; the old name goes with hashbench {gone}",
        DeprecationWarning,
        stacklevel=level,
    )
