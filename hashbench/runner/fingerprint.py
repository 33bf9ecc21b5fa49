"""Fingerprints: what made an artifact, as JSON data and as a SHA-256. No file times."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from hashbench.plugins.base import Plugin
from hashbench.plugins.parameters import resolved


def sha256_of(data: Any) -> str:
    """SHA-256 of the canonical JSON of plain data."""
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def describe(plugin: Plugin) -> dict[str, Any]:
    """A plugin as part of a key: name, version, every parameter resolved, hash of its source."""
    return {
        "name": plugin.card.name,
        "version": plugin.card.version,
        "parameters": resolved(plugin),
        "source": source_hash(type(plugin)),
    }


@cache
def source_hash(plugin: type[Plugin]) -> str:
    """SHA-256 over the source files of a plugin's class and of the classes it builds on.

    Core classes are left out: `rooms_hash` covers them.
    """
    digest = hashlib.sha256()
    for cls in plugin.__mro__:
        if cls.__module__.startswith("hashbench.plugins") or not issubclass(cls, Plugin):
            continue
        try:
            digest.update(Path(inspect.getfile(cls)).read_bytes())
        except (OSError, TypeError):
            # Made in an interactive session: its name is all there is to go by.
            digest.update(f"{cls.__module__}.{cls.__qualname__}".encode())
    return digest.hexdigest()


@cache
def rooms_hash(*rooms: str) -> str:
    """SHA-256 over the Python files directly inside some rooms of hashbench, such as `hashing`."""
    digest = hashlib.sha256()
    for room in rooms:
        for name, content in sorted(_sources(room)):
            digest.update(f"{room}/{name}\n".encode() + content)
    return digest.hexdigest()


@cache
def file_hash(room: str, name: str) -> str:
    """SHA-256 of one Python file of a room, such as `runner` and `scoring.py`."""
    return hashlib.sha256((files(f"hashbench.{room}") / name).read_bytes()).hexdigest()


def _sources(room: str) -> Iterable[tuple[str, bytes]]:
    for item in files(f"hashbench.{room}").iterdir():
        if item.name.endswith(".py"):
            yield item.name, item.read_bytes()
