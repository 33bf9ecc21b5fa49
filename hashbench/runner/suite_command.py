"""The command that asks for a suite, without the paths of the machine that ran it. No torch."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import PurePath
from typing import Any, Final

from hashbench.errors import UsageError
from hashbench.runner.suite import Suite, compose
from hashbench.runner.suite_files import QUICK, shipped

_OPTIONS: Final[tuple[str, ...]] = (
    *("dataset", "loss", "backbone", "bits", "defense", "attack", "eps", "seed", "pixels"),
    *("keep_images", "certify", "root", "checkpoint", "model", "plugin"),
)
"""Keys of a suite that are options of `hashbench run` too; those of `compute` are besides."""

_PATHS: Final[tuple[str, ...]] = ("root", "checkpoint", "model", "plugin")


def command_of(suite: Suite) -> str:
    """How a shell asks for the same cells: the name of a suite that ships, options, or a file.

    Of a path it has the last part alone. Where neither a name nor options say it all, the command
    names a suite file after the suite; what has to stand in it is `Suite.to_plain`. A model in
    memory has no command.

    Args:
        suite: what was asked for.
    """
    plain = suite.to_plain()
    if "in_memory" in plain:
        return ""
    if suite.name in shipped() and _is(suite, suite.name, {}):
        return f"hashbench run {suite.name}"
    base = compose(None, {}).to_plain()
    changes: dict[str, Any] = {
        key: plain[key] for key in _OPTIONS if key in plain and plain[key] != base.get(key)
    }
    own, usual = plain["compute"], base["compute"]
    compute = {key: own[key] for key in own if own[key] != usual.get(key)}
    given: dict[str, Any] = dict(changes)
    if compute:
        given["compute"] = compute
    if suite.name == QUICK and _is(suite, None, given):
        return shlex.join(["hashbench", "run", *_options({**changes, **compute})])
    return shlex.join(["hashbench", "run", f"{suite.name}.toml"])


def _is(suite: Suite, source: str | None, options: Mapping[str, Any]) -> bool:
    """Whether this is what a command asks for."""
    try:
        return replace(compose(source, options), name=suite.name) == suite
    except UsageError:
        return False


def _options(given: Mapping[str, Any]) -> Iterator[str]:
    for key, value in given.items():
        if isinstance(value, bool):
            yield f"--{key}" if value else f"--no-{key}"
            continue
        for one in value if isinstance(value, list) else [value]:
            yield f"--{key.replace('_', '-')}"
            yield PurePath(one).name if key in _PATHS else str(one)
