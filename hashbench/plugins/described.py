"""What a plugin's docstrings say: its prose, and a line for each of its parameters."""

from __future__ import annotations

import inspect
import re

from hashbench.plugins.base import Plugin, docstring

_ITEM = re.compile(r"    (?P<names>\w+(?:, \w+)*): (?P<words>.+)")


def prose(plugin: type[Plugin]) -> str:
    """The class's docstring without its section of parameters."""
    return _split(plugin)[0]


def parameter_words(plugin: type[Plugin]) -> dict[str, str]:
    """What every parameter is, by its name; a subclass's words stand before its base's.

    Read from the sections `Attributes:` of the class and of those that it builds on, so that a
    class describes its own parameters alone.
    """
    found: dict[str, str] = {}
    for cls in reversed(plugin.__mro__):
        last: tuple[str, ...] = ()
        for line in _split(cls)[1].splitlines():
            item = _ITEM.fullmatch(line)
            if item:
                last = tuple(item["names"].split(", "))
                found |= dict.fromkeys(last, item["words"])
            elif line.strip():
                found |= {name: f"{found[name]} {line.strip()}" for name in last}
    return found


def _split(cls: type) -> tuple[str, str]:
    """A docstring's prose, and the lines of its section of parameters."""
    text, _, section = inspect.cleandoc(docstring(cls)).partition("\nAttributes:\n")
    return text.rstrip(), section
