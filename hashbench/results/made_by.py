"""Who writes results: the version of hashbench, and the state of its sources in git."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import MappingProxyType
from typing import Final

from hashbench.characters import shortened

COMMIT: Final = "commit"
"""Of the sources: 40 hexadecimal digits."""

DIRTY: Final = "dirty"
"""Whether the sources differ from that commit: `yes` or `no`."""

_SECONDS: Final = 10
"""How long git may take; one that is slower is not waited for."""

GIT: Final = "git"
"""Wherever the user has it."""

_PACKAGE: Final = Path(__file__).resolve().parents[1]


@cache
def made_by() -> Mapping[str, str]:
    """The version of hashbench, and where its sources lie in a git work tree, the commit and state.

    Keys: `hashbench`, `commit`, `dirty`; what is not known is left out. Recorded, no part of a key.
    Git is asked once in a process.
    """
    found: dict[str, str] = {}
    with suppress(PackageNotFoundError):
        found["hashbench"] = version("hashbench")
    return MappingProxyType(found | sources_of(_PACKAGE))


def host() -> str:
    """The name of this machine, as its administrator gave it."""
    return shortened(platform.node())


def now() -> str:
    """The time of day, ISO 8601, UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def sources_of(package: Path) -> dict[str, str]:
    """The commit of a package's sources, and whether they differ from it.

    Args:
        package: its folder.

    Returns:
        `commit` and `dirty`; empty where git does not keep this package: it is installed somewhere
        inside of another project's work tree, say, or there is no git.
    """
    if not any((folder / ".git").exists() for folder in package.parents):
        return {}
    if _git(package, "ls-files", "--error-unmatch", "--", "__init__.py") is None:
        return {}
    commit = _git(package, "rev-parse", "--verify", "HEAD")
    changes = _git(package, "status", "--porcelain", "--", *map(str, _folders(package)))
    if commit is None or changes is None:
        return {}
    return {COMMIT: commit, DIRTY: "yes" if changes else "no"}


def _folders(package: Path) -> Iterator[Path]:
    """Where the sources lie: the package's folder, and those that links in it lead to."""
    yield package
    for child in sorted(package.iterdir()):
        if child.is_symlink() and child.is_dir():
            yield child.resolve()


def _git(folder: Path, *words: str) -> str | None:
    """What git answers; `None` where it cannot. Nothing is written, and nothing else is started."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        done = subprocess.run(  # noqa: S603 - its words are this module's own
            [GIT, "-c", "core.fsmonitor=false", "-C", str(folder), *words],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_SECONDS,
            check=False,
            env={**own, "GIT_OPTIONAL_LOCKS": "0"},
        )
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
