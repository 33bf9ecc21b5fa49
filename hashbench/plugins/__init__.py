"""Plugins: what an author imports to write one, and how the rest of hashbench finds them by name.

    from hashbench.plugins import Attack, attack

Nobody imports a plugin; `get` and `names` find it.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from hashbench.errors import UsageError
from hashbench.plugins.base import (
    Plugin,
    attack,
    backbone,
    dataset,
    defense,
    format,  # noqa: A004 - the field's word
    loss,
)
from hashbench.plugins.card import Access, Aim, Card, Knowledge
from hashbench.plugins.contracts import (
    Attack,
    Backbone,
    Dataset,
    Defense,
    Format,
    Loss,
    Surrogate,
    TrainedAttack,
    TrainedDefense,
    WrappingDefense,
)
from hashbench.plugins.discovery import add_file, add_installed
from hashbench.plugins.kinds import Kind
from hashbench.plugins.parameters import Spec, build
from hashbench.plugins.registry import Registry
from hashbench.plugins.suggestions import did_you_mean
from hashbench.plugins.units import PixelSize, Unit


def registry(*kinds: Kind) -> Registry:
    """The plugins of this process, found when they are first asked for.

    Args:
        kinds: what has to be in it; everything by default.
    """
    found = _registry()
    for kind in kinds or Kind:
        add_installed(found, kind)
    return found


@cache
def _registry() -> Registry:
    return Registry()


def use_file(path: Path | str) -> None:
    """Add the plugins of one file, as `--plugin FILE` does; its code is run.

    Raises:
        UsageError: there is no such file.
    """
    add_file(_registry(), Path(path))


def files() -> tuple[Path, ...]:
    """The plugin files that were added to this process, resolved, in that order."""
    return tuple(_registry().files)


def names(kind: Kind | str) -> tuple[str, ...]:
    """The names of all plugins of a kind, sorted.

    Args:
        kind: `attack`, `defense`, `loss`, `backbone`, `dataset` or `format` (plurals do too).
    """
    wanted = _kind(kind)
    return registry(wanted).names(wanted)


def get(kind: Kind | str, name: str, **parameters: Any) -> Plugin:
    """Build a plugin by name.

    Args:
        kind: as for `names`.
        name: the plugin's name; `name@preset` and `name:key=value` do too.
        parameters: its dataclass fields; text is read as the field's type.

    Raises:
        UsageError: unknown name or parameter, or a value that does not fit; names the nearest one.
    """
    spec = Spec.parse(name)
    wanted = _kind(kind)
    entry = registry(wanted).find(wanted, spec.name)
    return build(entry.plugin, {**dict(spec.given), **parameters}, spec.preset)


def _kind(kind: Kind | str) -> Kind:
    try:
        return Kind(kind)
    except ValueError:
        raise UsageError(f"no kind of plugin '{kind}'{did_you_mean(kind, Kind)}") from None


__all__ = [
    "Access",
    "Aim",
    "Attack",
    "Backbone",
    "Card",
    "Dataset",
    "Defense",
    "Format",
    "Kind",
    "Knowledge",
    "Loss",
    "PixelSize",
    "Plugin",
    "Spec",
    "Surrogate",
    "TrainedAttack",
    "TrainedDefense",
    "Unit",
    "WrappingDefense",
    "attack",
    "backbone",
    "dataset",
    "defense",
    "files",
    "format",
    "get",
    "loss",
    "names",
    "registry",
    "use_file",
]
