"""The suite of a plan as the text of a suite file. Pure; knows no runner."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any, Final

_PATHS: Final = ("root", "checkpoint", "model", "plugin")
"""Keys that hold paths: their last part is kept, since the rest is somebody's machine."""

_UNSAID: Final = ("model", "plugin", "eps", "dataset", "loss", "backbone", "bits", "defense")
"""Lists that say nothing where they are empty."""

_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")
_STEERS: Final = re.compile("[\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def suite_text(suite: Mapping[str, Any], *, whole_paths: bool = False) -> str:
    """A suite file, TOML, that asks for the same cells.

    Of paths the last part stands there: a path in a suite file starts from the file's folder.

    Args:
        suite: as a plan holds it, plain data.
        whole_paths: paths stand there as they are.

    Returns:
        The text; empty where there is none: no suite was noted, or its model was an object of a
        process.
    """
    if not suite or "in_memory" in suite:
        return ""
    said = {
        key: _without_folders(value) if key in _PATHS and not whole_paths else value
        for key, value in suite.items()
        if value is not None and not (key in _UNSAID and not value)
    }
    tables = {key: value for key, value in said.items() if isinstance(value, Mapping)}
    lines = [f"{_key(key)} = {_value(said[key])}" for key in _ordered(said) if key not in tables]
    for name, table in sorted(tables.items()):
        lines += ["", f"[{_key(name)}]"]
        lines += [f"{_key(key)} = {_value(value)}" for key, value in sorted(table.items())]
    return "\n".join(lines) + "\n"


def _ordered(said: Mapping[str, Any]) -> Iterator[str]:
    """The name first, then what is asked for, then the rest."""
    first = ("name", "dataset", "loss", "backbone", "bits", "defense", "model", "attack", "eps")
    yield from (key for key in first if key in said)
    yield from (key for key in sorted(said) if key not in first)


def _without_folders(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_without_folders(one) for one in value]
    text = str(value)
    path = PureWindowsPath(text) if "\\" in text else PurePosixPath(text)
    return path.name or text


def _key(name: object) -> str:
    text = str(name)
    return text if _BARE.fullmatch(text) else _quoted(text)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, Mapping):
        inner = (f"{_key(key)} = {_value(one)}" for key, one in value.items() if one is not None)
        return f"{{ {', '.join(inner)} }}"
    return _quoted(str(value))


def _quoted(text: str) -> str:
    """A basic string of TOML; what steers a terminal stands there by its number."""
    plain = json.dumps(text.encode("utf-8", "replace").decode(), ensure_ascii=False)
    return _STEERS.sub(lambda found: f"\\u{ord(found.group()):04x}", plain)
