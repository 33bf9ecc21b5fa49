"""Parameters of a plugin: read from text, TOML or Python, checked against the dataclass fields.

The canonical text of a specification (`hag:steps=2000`) names only what differs from the default;
it is what tables show, what keys are made of (with all values resolved), and what is parsed back.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import typing
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from typing_extensions import override

from hashbench.characters import shortened
from hashbench.coercion import coerce
from hashbench.errors import UsageError
from hashbench.plugins.base import Plugin
from hashbench.plugins.blame import sentence_of, told
from hashbench.plugins.paths import at_home, path_words, started_from
from hashbench.plugins.units import Unit, unit_of
from hashbench.records import default_of
from hashbench.suggestions import did_you_mean

PluginT = TypeVar("PluginT", bound=Plugin)

_PRESET = re.compile(r"[A-Za-z0-9][\w.-]{0,99}", re.ASCII)
"""What may be a preset's name."""

_LATER = "later"
"""In a field's metadata: see `later`."""

_NO_COMMA = "; a comma begins the next parameter, so no value and no path may hold one"


@dataclass(frozen=True)
class Spec:
    """A plugin's name and the parameters that were given, before they are checked.

    Attributes:
        name, preset, given: as they were written.
        folder: where relative paths among them start from, that of a suite file; `None` for the
            working folder.
    """

    name: str
    preset: str | None = None
    given: tuple[tuple[str, Any], ...] = ()
    folder: Path | None = field(default=None, compare=False)

    @classmethod
    def parse(cls, text: str) -> Spec:
        """Read `name`, `name@preset`, `name:key=value,key=value` or both.

        Raises:
            UsageError: the text does not have that form.

        Examples:
            >>> spec = Spec.parse("hag@published:steps=20,momentum=0")
            >>> spec.name, spec.preset, spec.given
            ('hag', 'published', (('steps', '20'), ('momentum', '0')))
            >>> str(spec)
            'hag@published:steps=20,momentum=0'
        """
        head, colon, tail = text.strip().partition(":")
        name, at, preset = head.partition("@")
        if not name or (at and not preset) or (colon and not tail):
            raise UsageError(
                f"'{shortened(text)}': write NAME, NAME@PRESET or NAME:key=value,key=value"
            )
        given: list[tuple[str, Any]] = []
        for part in tail.split(",") if tail else ():
            key, equals, value = part.partition("=")
            if not equals or not key.strip() or not value.strip():
                of_path = given and _like_paths(given[-1][1], part)
                hint = _NO_COMMA if of_path else "" if at else _if_preset(name, part, tail)
                raise UsageError(
                    f"'{shortened(text)}': '{shortened(part)}' is not of the form key=value{hint}"
                )
            given.append((key.strip().replace("-", "_"), value.strip()))
        _refuse_repeats(text, [key for key, _ in given])
        return cls(name.strip(), preset or None, tuple(given))

    @classmethod
    def from_table(cls, table: Mapping[str, Any]) -> Spec:
        """Read a TOML table `{name = "hag", steps = 20}`, where `name` may carry a preset."""
        if not isinstance(table.get("name"), str):
            raise UsageError(
                f"{shortened(str(dict(table)))}: a plugin table needs a name, as in "
                "{name = 'hag'}"
            )
        head = cls.parse(table["name"])
        rest = tuple((key, value) for key, value in table.items() if key != "name")
        for key, value in rest:
            if isinstance(value, list | Mapping):
                raise UsageError(
                    f"'{shortened(table['name'])}': '{shortened(key)}' holds "
                    f"{shortened(str(value))}, expected one value"
                )
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
    kinds, paths = field_types(plugin), field_paths(plugin)
    after_path = ""
    for key in values:
        if key not in kinds:
            if not kinds:
                why = _undecorated(plugin) + _as_preset(plugin, key, values[key])
                raise UsageError(f"{where} has no parameter '{shortened(key)}': it takes none{why}")
            why = _as_preset(plugin, key, values[key]) or did_you_mean(key, kinds) + after_path
            raise UsageError(f"{where} has no parameter '{shortened(key)}'{why}")
        after_path = _NO_COMMA if key in paths else ""
    checked = {
        key: _checked(value, kinds[key], paths.get(key), f"{where}, parameter '{key}'")
        for key, value in values.items()
    }
    _refuse_missing(plugin, checked, where)
    try:
        return plugin(**checked)
    except ValueError as error:  # an author need not know UsageError
        raise UsageError(f"{where}: {error}") from error
    except (Exception, SystemExit) as error:  # a bug of the plugin, which must not end others' runs
        raise UsageError(f"{where} cannot be built: {told(error, plugin)}") from error


def without_default(plugin: type[Plugin]) -> tuple[str, ...]:
    """The parameters that have to be given."""
    return tuple(
        one.name
        for one in _fields(plugin)
        if one.default is dataclasses.MISSING and one.default_factory is dataclasses.MISSING
    )


def _refuse_missing(plugin: type[Plugin], given: Mapping[str, Any], where: str) -> None:
    """Refuse to build a plugin without a parameter that has no default."""
    for key in without_default(plugin):
        if key not in given:
            raise UsageError(
                sentence_of(
                    f"{where} needs its parameter '{key}', which has no default: write "
                    f"{plugin.card.name}:{key}=VALUE",
                    plugin,
                )
            )


def _undecorated(plugin: type[Plugin]) -> str:
    """That a class names parameters and is no dataclass, which makes them none."""
    own = inspect.get_annotations(plugin)
    if not own or "__dataclass_fields__" in vars(plugin):
        return ""
    return sentence_of(
        ", as its class is no dataclass: write @dataclass(frozen=True) above it", plugin
    )


def _checked(value: Any, kind: Any, words: tuple[str, ...] | None, where: str) -> Any:
    """A parameter's value as its field's type; `words` as in `field_paths`."""
    if words is not None and isinstance(value, str) and value not in words:
        value = at_home(value, where)
    found = coerce(value, kind, where)
    if isinstance(found, str | Path):
        # The canonical text is how a parameter reaches tables and worker processes.
        text = str(found)
        if "," in text or text != text.strip() or not text:
            raise UsageError(
                f"{where}: {shortened(text)!r} is empty, holds a comma, or begins or ends with a "
                "space"
            )
    return found


def located(plugin: type[Plugin], spec: Spec) -> Spec:
    """The specification with its paths as the working folder sees them, and no folder of its own.

    Args:
        plugin: what it is of; its types say which parameters are paths.
        spec: of a suite file, say.

    Raises:
        UsageError: a path of a home folder that there is not.
    """
    if spec.folder is None:
        return spec
    where = f"{plugin.card.kind} '{plugin.card.name}'"
    paths = field_paths(plugin)
    given = tuple(
        (key, started_from(spec.folder, value, f"{where}, parameter '{key}'"))
        if isinstance(value, str) and value not in paths.get(key, (value,))
        else (key, value)
        for key, value in spec.given
    )
    return dataclasses.replace(spec, given=given, folder=None)


def field_types(plugin: type[Plugin]) -> dict[str, Any]:
    """The type of every parameter, in the order of the dataclass fields, without its unit."""
    return dict(_hints(plugin, units=False))


def field_units(plugin: type[Plugin]) -> dict[str, Unit]:
    """The unit of every parameter that declares one, as `step_size: PixelSize` does."""
    hints = _hints(plugin, units=True)
    units = {name: unit_of(kind) for name, kind in hints.items()}
    return {name: unit for name, unit in units.items() if unit is not None}


def field_paths(plugin: type[Plugin]) -> dict[str, tuple[str, ...]]:
    """The parameters that are paths, each with the words that it takes besides; see `paths`."""
    words = {name: path_words(kind) for name, kind in _hints(plugin, units=True).items()}
    return {name: said for name, said in words.items() if said is not None}


@cache
def _hints(plugin: type[Plugin], *, units: bool) -> dict[str, Any]:
    """Types by parameter; a plan of thousands of steps asks for them as often."""
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
    """Every parameter with its value as plain JSON data."""
    return {name: plain(getattr(plugin, name)) for name in field_types(type(plugin))}


def later(default: Any) -> Any:
    """The default of a parameter that a plugin got after its first results were stored.

    A key says such a parameter only where it is not the default: what was stored before it could be
    said is still found.

    Args:
        default: the plugin's behaviour from before.

    Examples:
        >>> @dataclass(frozen=True)
        ... class Example:
        ...     steps: int = 20
        ...     restarts: int = later(1)
        >>> Example()
        Example(steps=20, restarts=1)
    """
    return field(default=default, metadata={_LATER: True})


def keyed(plugin: Plugin) -> dict[str, Any]:
    """`resolved`, without what came `later` and is the default: what a key is made of."""
    unsaid = {
        one.name
        for one in _fields(type(plugin))
        if one.metadata.get(_LATER) and getattr(plugin, one.name) == one.default
    }
    return {name: value for name, value in resolved(plugin).items() if name not in unsaid}


def canonical(plugin: Plugin) -> str:
    """The shortest text that builds this plugin: `hag`, or `hag:steps=2000`."""
    changed = [
        f"{field.name}={_text(getattr(plugin, field.name))}"
        for field in _fields(type(plugin))
        if getattr(plugin, field.name) != default_of(field)
    ]
    return plugin.card.name + (":" + ",".join(changed) if changed else "")


@cache
def _fields(plugin: type[Plugin]) -> tuple[dataclasses.Field[Any], ...]:
    """The parameters of a plugin; a plan of thousands of steps asks for them as often."""
    if not dataclasses.is_dataclass(plugin):
        return ()
    return tuple(field for field in dataclasses.fields(plugin) if field.init)


def plain(value: Any) -> Any:
    """A parameter's value as JSON data: enums by value, exact fractions and paths as text."""
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Enum):
        return value.value
    if hasattr(value, "canonical"):
        return value.canonical
    return value


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "none" if value is None else str(plain(value))


def _if_preset(name: str, part: str, tail: str) -> str:
    """How to write a word among the parameters that may have been meant as a preset."""
    if not _PRESET.fullmatch(part.strip()):
        return ""
    rest = ",".join(one for one in tail.split(",") if one != part)
    written = f"{name.strip()}@{part.strip()}" + (f":{rest}" if rest else "")
    return f"; if '{shortened(part.strip())}' is a preset, write {shortened(written)}"


def _as_preset(plugin: type[Plugin], key: str, value: Any) -> str:
    """How to write a preset that was given as a parameter: `preset=quick`, or `quick=true`."""
    presets = {name.replace("-", "_"): name for name in plugin.card.presets}
    asked = value if key == "preset" else key
    meant = presets.get(asked.replace("-", "_")) if isinstance(asked, str) else None
    if meant is not None:
        return f"; a preset is written {plugin.card.name}@{meant}"
    if key != "preset":
        return ""
    if not presets:
        return ", and no preset"
    known = ", ".join(plugin.card.presets)
    return f"; a preset is written {plugin.card.name}@NAME, and NAME is one of {known}"


def _like_paths(value: str, rest: str) -> bool:
    """Whether what a comma parted looks like a path, or like a file's name."""
    return any(mark in value + rest for mark in "/\\~.")


def _refuse_repeats(where: str, keys: list[str]) -> None:
    for key, count in Counter(keys).items():
        if count > 1:
            raise UsageError(f"'{shortened(where)}': '{shortened(key)}' is given twice")
