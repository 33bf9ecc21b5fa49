"""What a machine's results depend on, told as text; and how two machines differ in it."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Iterable, Sequence
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

NOT_THERE: Final = "not there"

_ALIKE: Final = ("machine", "processor", "gpu")
"""Fields of an environment in which machines may differ: they change the last digits, no key."""

_MOST_NAMED: Final = 4


def sources_hash() -> str:
    """SHA-256 over all Python files of the installed hashbench, by their places in it."""
    found = find_spec("hashbench")
    digest = hashlib.sha256()
    for home in (found.submodule_search_locations if found else None) or ():
        files = [
            Path(folder, name)
            for folder, _, names in os.walk(home, followlinks=True)
            for name in names
            if name.endswith(".py")
        ]
        for path in sorted(files, key=lambda one: one.relative_to(home).as_posix()):
            digest.update(f"{path.relative_to(home).as_posix()}\n".encode() + path.read_bytes())
    return digest.hexdigest()


def surroundings(files: Iterable[str] = ()) -> dict[str, Any]:
    """Versions, sources and files that keys and floats depend on, as plain data.

    Args:
        files: paths of plugin files.
    """
    from hashbench.runner.determinism import environment  # torch: only where it is asked

    packages = {
        one.dist.name: one.dist.version
        for group in ("attacks", "defenses", "losses", "backbones", "datasets", "hashers")
        for one in entry_points(group=f"hashbench.{group}")
        if one.dist is not None
    }
    return {
        "versions": {**packages, **environment()},
        "sources": sources_hash(),
        "files": {path: _content(Path(path)) for path in files},
    }


def _content(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return NOT_THERE


def look_around(folder: str, probe: str, files: Sequence[str]) -> str:
    """Run on each machine of a cluster: what it is, and whether it sees a folder.

    Args:
        folder: of the store.
        probe: the name of a file that the driver has put there. The answer is a file of this name
            with what comes back as `mark` behind it.
        files: paths of plugin files.

    Returns:
        JSON: `surroundings`, `folder` (a clause that says what is wrong with it, or nothing) and
        `mark`.
    """
    mark = secrets.token_hex(4)
    return json.dumps(
        {**surroundings(files), "folder": _trouble_of(Path(folder), probe, mark), "mark": mark}
    )


def answer_to(probe: str, mark: str) -> str:
    """The name of the file that a machine answers a probe with; `Store.sweep` knows its form."""
    return f"{probe.removesuffix('.tmp')}.{mark}.tmp"


def _trouble_of(folder: Path, probe: str, mark: str) -> str:
    if not folder.is_dir():
        return "is not there"
    try:
        (folder / probe).read_bytes()
    except OSError:
        return "is another folder there"
    try:
        (folder / answer_to(probe, mark)).write_bytes(b"")
    except OSError as error:
        return f"cannot be written to there ({error.strerror or error})"
    return ""


def differences(here: dict[str, Any], there: dict[str, Any]) -> list[str]:
    """In what another machine differs so that keys or floats would, in clauses."""
    ours, theirs = here["versions"], there["versions"]
    found = [
        f"{name} {theirs.get(name, 'is missing')} (here {ours.get(name, 'none')})"
        for name in sorted(ours.keys() | theirs.keys())
        if name not in _ALIKE and _level(name, ours) != _level(name, theirs)
    ]
    more = len(found) - _MOST_NAMED
    if more > 0:
        found = [*found[:_MOST_NAMED], f"{more} more"]
    if not found and here["sources"] != there["sources"]:
        found.append("other sources of hashbench, of the same version")
    for path, content in here["files"].items():
        if there["files"].get(path, NOT_THERE) == NOT_THERE:
            found.append(f"no plugin file {path}")
        elif there["files"][path] != content:
            found.append(f"another plugin file {path}")
    return found


def _level(name: str, versions: dict[str, str]) -> str | None:
    """A version as far as it matters: of Python, 3.11 of 3.11.7."""
    said = versions.get(name)
    return said if said is None or name != "python" else ".".join(said.split(".")[:2])


def kinds_of_processors(all_of_them: Iterable[dict[str, Any]]) -> list[str]:
    """What computes, as words, one for each kind that there is."""
    kinds = {
        tuple(one["versions"].get(name, "") for name in ("machine", "processor"))
        for one in all_of_them
    }
    return sorted(" ".join(kind) for kind in kinds)
