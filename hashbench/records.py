"""Records: plain data, as JSON and TOML hold it, into frozen dataclasses and back; older formats.

A format's number rises when an older reader would take its data for something else. A field that is
added with a default raises nothing: older data lack it and get the default, older readers pass over
it. The exception is a record that tells two things apart (a cell, a protocol, an address): there a
field that is not known may be all that differs, so it is refused.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Callable, Mapping
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from hashbench.characters import shortened
from hashbench.coercion import coerce, quoted
from hashbench.errors import UsageError
from hashbench.suggestions import did_you_mean

T = TypeVar("T")

Migration = Callable[[Mapping[str, Any]], dict[str, Any]]
"""From the plain data of one format to those of the next; changes nothing in place."""

Migrations = Mapping[tuple[str, int], Migration]
"""By what is stored and the format it is read from. What has no entry is the same in the next."""


class Author(Enum):
    """Who wrote the data."""

    PERSON = "person"  # text may stand for numbers; an unknown key is a slip of the pen
    PROGRAM = "program"  # values have their own type; an unknown key is of a newer version


_WORDS: Mapping[Any, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text",
}


def read(cls: type[T], data: Any, where: str, author: Author = Author.PROGRAM) -> T:
    """Build a frozen dataclass from plain data.

    A field may be a text, number, boolean, path, enum (by its value), `Mapping` or `dict`, tuple,
    `Any`, another dataclass, a class with a `parse` method, each of them or `None`. What is an
    instance of its type already stays; of a union it has to be one.

    Args:
        cls: the dataclass; `identity: ClassVar[bool] = True` refuses what a newer version adds.
        data: by field name; a field that is left out takes its default.
        where: opens every error message, the file, say; empty where the caller says it.
        author: who wrote it.

    Raises:
        UsageError: no table, a key missing or unknown, a value of another type, or one that the
            class refuses; the message names the key.
    """
    try:
        return _record(cls, data, "", author)
    except UsageError as error:
        raise UsageError(f"{where}: {error}" if where else str(error)) from None


def migrated(
    migrations: Migrations, name: str, data: Mapping[str, Any], since: int, until: int
) -> Mapping[str, Any]:
    """Plain data of an older format as the newest has them, one format after the other.

    Args:
        migrations: see `Migrations`.
        name: what is stored.
        data: as it was written.
        since: the format that it was written in.
        until: the newest one.
    """
    for version in range(since, until):
        migration = migrations.get((name, version))
        data = data if migration is None else migration(data)
    return data


def plain(value: Any) -> Any:
    """The JSON data that `read` makes the same value of; fields that are `None` are left out."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Path) or hasattr(type(value), "parse"):
        return str(value)
    if dataclasses.is_dataclass(value):
        fields = {
            field.name: getattr(value, field.name)
            for field in dataclasses.fields(value)
            if getattr(value, field.name) is not None
        }
        return plain(fields)
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def default_of(field: dataclasses.Field[Any]) -> Any:
    """A field's default; `MISSING` where it has none."""
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


def _record(cls: type[T], data: Any, path: str, author: Author) -> T:
    if not isinstance(data, Mapping):
        found = f"{path} must be a table, [{path}]" if author is Author.PERSON else ""
        raise UsageError(found or _expected(path, data, "a table"))
    fields, kinds = _fields(cls)  # type: ignore[arg-type]  # a class can be hashed
    for key in data:
        if key in fields:
            continue
        if author is Author.PERSON:
            said = f"[{path}] has no key" if path else "there is no key"
            raise UsageError(f"{said} '{shortened(str(key))}'{did_you_mean(str(key), fields)}")
        if getattr(cls, "identity", False):
            raise UsageError(
                f"{_inside(path, key)} is not known: a newer hashbench wrote it; update this one"
            )
    missing = [
        name
        for name, field in fields.items()
        if name not in data and default_of(field) is dataclasses.MISSING
    ]
    for name in missing:
        if dataclasses.is_dataclass(kinds[name]) and author is Author.PERSON:
            raise UsageError(f"the table [{name}] is missing")
    if missing:
        raise UsageError(f"{f'[{path}] lacks' if path else 'it lacks'} {', '.join(missing)}")
    return cls(
        **{
            # Nearly all of the million values of a large plan are of their type.
            name: data[name]
            if type(data[name]) is kinds[name]
            else _value(data[name], kinds[name], _inside(path, name), author)
            for name in fields
            if name in data
        }
    )


@cache
def _fields(cls: type[Any]) -> tuple[dict[str, dataclasses.Field[Any]], dict[str, Any]]:
    """The fields of a dataclass, and their types, by name; a plan has thousands of records."""
    fields = {field.name: field for field in dataclasses.fields(cls) if field.init}
    return fields, typing.get_type_hints(cls)


def _value(value: Any, kind: Any, path: str, author: Author) -> Any:
    if type(value) is kind:
        return value
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union) and type(None) in parts and len(parts) == 2:
        if value is None or (author is Author.PERSON and value == "none"):
            return None
        return _value(value, next(part for part in parts if part is not type(None)), path, author)
    kinds = parts if origin in (types.UnionType, typing.Union) else (kind,)
    if kind is Any or any(_is(value, one) for one in kinds if _is_class(one)):
        return value
    if origin is tuple and parts[1:] == (Ellipsis,) and isinstance(value, list | tuple):
        if all(type(item) is parts[0] for item in value):
            return tuple(value)
        return tuple(_value(item, parts[0], path, author) for item in value)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        if not isinstance(value, Mapping):
            raise UsageError(_expected(path, value, "a table"))
        if all(type(key) is parts[0] and type(value[key]) is parts[1] for key in value):
            return dict(value)
        return {
            _value(key, parts[0], path, author): _value(item, parts[1], _inside(path, key), author)
            for key, item in value.items()
        }
    if kind is Path:
        if not isinstance(value, str):
            raise UsageError(f"{path}: expected a path, found {quoted(value)}")
        if "\0" in value:
            raise UsageError(f"{path}: a path holds a character that no file can have")
        return Path(value)
    if dataclasses.is_dataclass(kind) and not hasattr(kind, "parse"):
        return _record(kind, value, path, author)  # type: ignore[arg-type]
    if author is Author.PERSON or hasattr(kind, "parse") or _is_enum(kind):
        return coerce(value, kind, path)
    if kind is float and type(value) is int:
        try:
            return float(value)
        except OverflowError:
            raise UsageError(_expected(path, value, "a number that a double can hold")) from None
    raise UsageError(_expected(path, value, _WORDS.get(kind, "a list" if origin is tuple else "")))


def _is(value: Any, kind: type) -> bool:
    # True is an int to Python, and no number to anybody else.
    return type(value) is kind if kind in _WORDS else isinstance(value, kind)


def _is_class(kind: Any) -> bool:
    return isinstance(kind, type) and not typing.get_origin(kind)


def _is_enum(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Enum)


def _expected(path: str, value: Any, wanted: str) -> str:
    return f"{path or 'it'} is {quoted(value)}, expected {wanted or 'something else'}"


def _inside(path: str, key: object) -> str:
    name = shortened(str(key))
    return f"{path}.{name}" if path else name
