"""What an author probably meant otherwise: names and arguments that nearly are a contract's.

A method that a contract does not know is never called, so a misspelt one would be a silent one.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Iterator
from typing import Any, Final

from hashbench.plugins.base import Plugin
from hashbench.plugins.blame import OURS, sentence_of

NEAR: Final = 0.75
"""How alike two names are, as `difflib` counts it, where one is taken for a slip of the other."""


def nearly_named(plugin: type[Plugin]) -> tuple[str, ...]:
    """Sentences on the public names of a class that are nearly those of its contract.

    Names that its base classes of hashbench have are its contract's. A name is passed over where
    the class defines the contract's own one too, and so is a parameter.
    """
    return tuple(
        sentence_of(
            f"class {plugin.__name__}: nobody calls {_said(plugin, name)}; did you mean "
            f"'{near}', which {plugin.card.kind.plural} may define?",
            plugin,
            name,
        )
        for name, near in _near_names(plugin)
    )


def missing_methods(plugin: type[Plugin]) -> str:
    """The sentence on a class that lacks methods which its contract asks for; empty if it does not.

    With the name that was probably meant to be one of them.
    """
    missing = sorted(getattr(plugin, "__abstractmethods__", ()))
    if not missing:
        return ""
    own = [name for cls in _theirs(plugin) for name in vars(cls) if not name.startswith("__")]
    slips = [
        sentence_of(f"; did you mean {name} by {found[0]}", plugin, found[0]) + "?"
        for name in missing
        if (found := difflib.get_close_matches(name, own, n=1, cutoff=0.6))
    ]
    asked = "; ".join(f"{name}{_signature(plugin, name)}" for name in missing)
    return sentence_of(
        f"class {plugin.__name__} does not define {', '.join(missing)}, which every "
        f"{plugin.card.kind} needs: write {asked}{''.join(slips)}",
        plugin,
    )


def unfit_methods(plugin: type[Plugin]) -> Iterator[str]:
    """Sentences on methods that cannot be called with the arguments of their contract."""
    for name, (asked, base) in _contract(plugin).items():
        found = getattr(plugin, name, None)
        if not inspect.isfunction(asked) or not callable(found) or found is asked:
            continue
        try:
            wanted, taken = inspect.signature(asked), inspect.signature(found)
        except (TypeError, ValueError):
            continue
        positional = [p for p in wanted.parameters.values() if p.kind is not p.KEYWORD_ONLY]
        named = [p.name for p in wanted.parameters.values() if p.kind is p.KEYWORD_ONLY]
        # A function of the class's own, which Python gives its object first; static ones get none.
        bare = isinstance(inspect.getattr_static(plugin, name), staticmethod | classmethod)
        try:
            taken.bind(*positional[1 if bare else 0 :], **dict.fromkeys(named))
        except TypeError as error:
            yield sentence_of(
                f"class {plugin.__name__}: {name}{taken} cannot be called as "
                f"{base.__name__}.{name}{_signature(plugin, name)} is: {error}",
                plugin,
                name,
            )


def _signature(plugin: type[Plugin], name: str) -> str:
    """The names of the arguments that a contract's method is handed: `(self, images)`."""
    asked = _contract(plugin).get(name, (None, object))[0]
    if not inspect.isfunction(asked):
        return "()"
    parts: list[str] = []
    starred = False
    for one in inspect.signature(asked).parameters.values():
        if one.kind is one.KEYWORD_ONLY and not starred:
            parts.append("*")
            starred = True
        default = "" if one.default is one.empty else f"={one.default!r}"
        parts.append(one.name + default)
    return f"({', '.join(parts)})"


def _said(plugin: type[Plugin], name: str) -> str:
    return f"its {name}()" if callable(getattr(plugin, name, None)) else f"what it calls {name}"


def _near_names(plugin: type[Plugin]) -> Iterator[tuple[str, str]]:
    contract = _contract(plugin)
    defined = {name for cls in _theirs(plugin) for name in vars(cls)}
    parameters = {name for cls in plugin.__mro__ for name in getattr(cls, "__annotations__", {})}
    for cls in _theirs(plugin):
        for name in vars(cls):
            if name.startswith("_") or name in contract or name in parameters or name == "card":
                continue
            open_ones = [known for known in contract if known not in defined]
            near = difflib.get_close_matches(name, open_ones, n=1, cutoff=NEAR)
            if near:
                yield name, near[0]


def _contract(plugin: type[Plugin]) -> dict[str, tuple[Any, type]]:
    """The public names that a plugin's bases of hashbench give it, each with the first to do so."""
    found: dict[str, tuple[Any, type]] = {}
    for cls in reversed(plugin.__mro__):
        if cls.__module__.split(".")[0] == OURS and cls is not plugin:
            for name, value in vars(cls).items():
                if not name.startswith("_") and name != "card" and not isinstance(value, type):
                    found.setdefault(name, (value, cls))
    return found


def _theirs(plugin: type[Plugin]) -> list[type]:
    """The classes that an author wrote: the plugin's own, and its bases outside of hashbench."""
    return [
        cls
        for cls in plugin.__mro__
        if cls is plugin or cls.__module__.split(".")[0] not in (OURS, "builtins", "abc")
    ]
