"""Parameters of a plugin: read from text, TOML or Python, checked against the dataclass fields.

The canonical text of a specification (`hag:steps=2000`) names only what differs from the default;
it is what tables show, what keys are made of (with all values resolved), and what is parsed back.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeVar

from typing_extensions import override

from hashbench.coercion import coerce
from hashbench.errors import UsageError
from hashbench.plugins.base import Plugin
from hashbench.plugins.units import Unit, unit_of
from hashbench.records import default_of
from hashbench.suggestions import did_you_mean

PluginT = TypeVar("PluginT", bound=Plugin)


@dataclass(frozen=True)
class Spec:
    """A plugin's name and the parameters that were given, before they are checked."""

    name: str
    preset: str | None = None
    given: tuple[tuple[str, Any], ...] = ()

    @classmethod
    def parse(cls, text: str) -> Spec:
        """Read `name`, `name@preset`, `name:key=value,key=value` or both.

        Raises:
            UsageError: the text does not have that form.
        """
        head, colon, tail = text.strip().partition(":")
        name, at, preset = head.partition("@")
        if not name or (at and not preset) or (colon and not tail):
            raise UsageError(f"'{text}': write NAME, NAME@PRESET or NAME:key=value,key=value")
        given = []
        for part in tail.split(",") if tail else ():
            key, equals, value = part.partition("=")
            if not equals or not key.strip() or not value.strip():
                raise UsageError(f"'{text}': '{part}' is not of the form key=value")
            given.append((key.strip().replace("-", "_"), value.strip()))
        _refuse_repeats(text, [key for key, _ in given])
        return cls(name.strip(), preset or None, tuple(given))

    @classmethod
    def from_table(cls, table: Mapping[str, Any]) -> Spec:
        """Read a TOML table `{name = "hag", steps = 20}`, where `name` may carry a preset."""
        if not isinstance(table.get("name"), str):
            raise UsageError(f"{dict(table)}: a plugin table needs a name, as in {{name = 'hag'}}")
        head = cls.parse(table["name"])
        rest = tuple((key, value) for key, value in table.items() if key != "name")
        for key, value in rest:
            if isinstance(value, list | Mapping):
                raise UsageError(f"'{table['name']}': '{key}' holds {value}, expected one value")
        _refuse_repeats(table["name"], [key for key, _ in head.given + rest])
        return cls(head.name, head.preset, head.given + rest)

    @override
    def __str__(self) -> str:
        head = f"{self.name}@{self.preset}" if self.preset else self.name
        return head + (
            ":" + ",".join(f"{k}={_text(v)}" for k, v in self.given) if self.given else ""
        )


def build(plugin: type[PluginT], given: Mapping[str, Any], preset: str | None = None) -> PluginT:
    """Build a plugin with checked parameters.

    Args:
        plugin: a dataclass with a card.
        given: values by field name: Python values, or text to be read as the field's type.
        preset: one of the card's presets, applied before `given`.

    Raises:
        UsageError: an unknown name, a value of the wrong type, a value that the plugin refuses.
    """
    card = plugin.card
    where = f"{card.kind} '{card.name}'"
    values: dict[str, Any] = {}
    if preset is not None:
        if preset not in card.presets:
            if not card.presets:
                raise UsageError(f"{where} has no preset '{preset}', and no preset at all")
            raise UsageError(
                f"{where} has no preset '{preset}'{did_you_mean(preset, card.presets)}"
            )
        values.update(card.presets[preset])
    values.update(given)
    kinds = field_types(plugin)
    for key in values:
        if key not in kinds:
            if not kinds:
                raise UsageError(f"{where} has no parameter '{key}': it takes none")
            raise UsageError(f"{where} has no parameter '{key}'{did_you_mean(key, kinds)}")
    checked = {
        key: coerce(value, kinds[key], f"{where}, parameter '{key}'")
        for key, value in values.items()
    }
    for key, value in checked.items():
        # The canonical text is how a parameter reaches tables and worker processes.
        if isinstance(value, str) and ("," in value or value != value.strip() or not value):
            raise UsageError(
                f"{where}, parameter '{key}': {value!r} is empty, holds a comma, or begins or ends "
                "with a space"
            )
    try:
        return plugin(**checked)
    except (TypeError, ValueError) as error:  # an author need not know UsageError
        raise UsageError(f"{where}: {error}") from None
    except (
        Exception
    ) as error:  # a bug of the plugin, which must not end others' runs in a traceback
        raise UsageError(f"{where} cannot be built: {type(error).__name__}: {error}") from error


def field_types(plugin: type[Plugin]) -> dict[str, Any]:
    """The type of every parameter, in the order of the dataclass fields, without its unit."""
    return _hints(plugin, units=False)


def field_units(plugin: type[Plugin]) -> dict[str, Unit]:
    """The unit of every parameter that declares one, as `step_size: PixelSize` does."""
    hints = _hints(plugin, units=True)
    units = {name: unit_of(kind) for name, kind in hints.items()}
    return {name: unit for name, unit in units.items() if unit is not None}


def _hints(plugin: type[Plugin], *, units: bool) -> dict[str, Any]:
    if not dataclasses.is_dataclass(plugin):
        return {}
    try:
        hints = typing.get_type_hints(plugin, include_extras=units)
    except NameError as error:
        raise UsageError(
            f"{plugin.card.kind} '{plugin.card.name}': the type of a parameter is not known when "
            f"the plugin runs ({error}); import it outside of TYPE_CHECKING"
        ) from None
    return {field.name: hints[field.name] for field in dataclasses.fields(plugin) if field.init}


def resolved(plugin: Plugin) -> dict[str, Any]:
    """Every parameter with its value as plain JSON data: what a key is made of."""
    return {name: plain(getattr(plugin, name)) for name in field_types(type(plugin))}


def canonical(plugin: Plugin) -> str:
    """The shortest text that builds this plugin: `hag`, or `hag:steps=2000`."""
    fields: tuple[dataclasses.Field[Any], ...] = (
        dataclasses.fields(plugin) if dataclasses.is_dataclass(plugin) else ()
    )
    changed = [
        f"{field.name}={_text(getattr(plugin, field.name))}"
        for field in fields
        if field.init and getattr(plugin, field.name) != default_of(field)
    ]
    return plugin.card.name + (":" + ",".join(changed) if changed else "")


def plain(value: Any) -> Any:
    """A parameter's value as JSON data: enums by value, exact fractions as text."""
    if isinstance(value, Enum):
        return value.value
    if hasattr(value, "canonical"):
        return value.canonical
    return value


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "none" if value is None else str(plain(value))


def _refuse_repeats(where: str, keys: list[str]) -> None:
    for key in keys:
        if keys.count(key) > 1:
            raise UsageError(f"'{where}': '{key}' is given twice")
