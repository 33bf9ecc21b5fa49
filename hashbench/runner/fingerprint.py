"""Fingerprints: what made an artifact, as JSON data and as a SHA-256. No file times."""

from __future__ import annotations

import hashlib
import inspect
import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from hashbench.errors import FileError, UsageError
from hashbench.files import sha256_of_file
from hashbench.plugins.base import Plugin
from hashbench.plugins.blame import answer_of, named
from hashbench.plugins.parameters import keyed
from hashbench.runner.code_content import class_content

_PATHS: Any = tuple | list

_CANONICAL: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False)


def sha256_of(data: Any) -> str:
    """SHA-256 of the canonical JSON of plain data."""
    return hashlib.sha256(_CANONICAL.encode(data).encode()).hexdigest()


_KNOWN: ContextVar[dict[int, tuple[Plugin, dict[str, Any]]] | None] = ContextVar(
    "what is known of plugins", default=None
)


@contextmanager
def described_once() -> Iterator[None]:
    """Within it every plugin is described once, however many steps it is a part of.

    So a file of weights is read once, and all steps of a plan are of the same content. Plugins are
    told apart as objects: two that are equal may be written differently.
    """
    token = _KNOWN.set({})
    try:
        yield
    finally:
        _KNOWN.reset(token)


def describe(plugin: Plugin) -> dict[str, Any]:
    """A plugin as part of a key: name, version, parameters, hash of its source."""
    known = _KNOWN.get()
    if known is None:
        return _described(plugin)
    if id(plugin) not in known:
        known[id(plugin)] = (plugin, _described(plugin))  # held, so that its number stays its own
    return dict(known[id(plugin)][1])


def _described(plugin: Plugin) -> dict[str, Any]:
    described = {
        "name": plugin.card.name,
        "version": plugin.card.version,
        "parameters": keyed(plugin),
        "source": source_hash(type(plugin)),
    }
    try:
        files = [content_hash(path) for path in answer_of(plugin, "reads", _PATHS)]
    except UsageError as error:
        said = str(error)
        raise UsageError(
            said if said.startswith(named(plugin)) else f"{named(plugin)}: {said}"
        ) from error
    return {**described, "files": files} if files else described


def content_hash(path: Path) -> str:
    """SHA-256 of a file's bytes.

    Raises:
        UsageError: it cannot be read, or is no file.
    """
    try:
        return sha256_of_file(path)
    except FileError as error:
        raise UsageError(f"{path}: cannot be read ({error})") from None
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror or error})") from None


@cache
def source_hash(plugin: type[Plugin]) -> str:
    """SHA-256 over the sources of a plugin's class and of the classes that it builds on.

    A built-in plugin is its own file (`rooms_hash` covers what it shares), a `--plugin` file is
    that file, and a plugin of another package is all Python files of the package, helpers included.
    The contract of its kind computes nothing, so it is left out.
    """
    digest = hashlib.sha256()
    for cls in plugin.__mro__:
        module = cls.__module__
        if module in ("builtins", "abc") or _is_contract(module):
            continue
        for source in _sources_of(cls):
            digest.update(source)
    return digest.hexdigest()


def _is_contract(module: str) -> bool:
    """Whether a module of hashbench says what a plugin is, and makes no result."""
    return module.startswith("hashbench.") and (
        module.endswith(".contract") or module.startswith("hashbench.plugins.")
    )


def _sources_of(cls: type) -> list[bytes]:
    package = cls.__module__.split(".")[0]
    home = getattr(sys.modules.get(package), "__path__", None)
    if home and package != "hashbench":
        paths = sorted(path for folder in home for path in Path(folder).rglob("*.py"))
        return [path.name.encode() + path.read_bytes() for path in paths]
    try:
        return [Path(inspect.getfile(cls)).read_bytes()]
    except (OSError, TypeError):
        # Made in an interactive session, so there is no file of it: its code is.
        return [f"{cls.__module__}.{cls.__qualname__}".encode(), class_content(cls)]


@cache
def rooms_hash(*rooms: str) -> str:
    """SHA-256 over the Python files directly inside some rooms of hashbench, such as `hashing`.

    A room's `contract.py` is left out, as in `source_hash`.
    """
    digest = hashlib.sha256()
    for room in rooms:
        for name, content in sorted(_sources(room)):
            digest.update(f"{room}/{name}\n".encode() + content)
    return digest.hexdigest()


@cache
def file_hash(path: str) -> str:
    """SHA-256 of one file of hashbench, such as `runner/scoring.py`."""
    return hashlib.sha256((files("hashbench") / path).read_bytes()).hexdigest()


def _sources(room: str) -> Iterable[tuple[str, bytes]]:
    for item in files(f"hashbench.{room}").iterdir():
        if item.name.endswith(".py") and item.name != "contract.py":
            yield item.name, item.read_bytes()
