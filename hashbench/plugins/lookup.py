"""How the rest of hashbench finds plugins: by kind and name, in one registry of this process."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from hashbench.errors import UsageError
from hashbench.plugins.base import Plugin
from hashbench.plugins.catalog import own_plugins, unread
from hashbench.plugins.discovery import add_file, add_installed, add_point
from hashbench.plugins.kinds import Kind
from hashbench.plugins.parameters import Spec, build, field_paths, without_default
from hashbench.plugins.registered import Registry
from hashbench.suggestions import did_you_mean


def registry(*kinds: Kind) -> Registry:
    """The plugins of this process, found when they are first asked for.

    Args:
        kinds: what has to be in it; everything by default.
    """
    found = _registry()
    for kind in kinds or Kind:
        add_installed(found, kind)
    return found


def registry_with(name: str, *kinds: Kind) -> Registry:
    """The plugins of others, and those of hashbench's own modules that declare this name.

    So that to look at one plugin imports no more than it must: see `hashbench.plugins.catalog`.

    Args:
        name: of the plugins that have to be in it.
        kinds: what has to be in it; everything by default.
    """
    found = _registry()
    for kind in kinds or Kind:
        for point in unread(kind):
            add_point(found, kind, point)
        for listed in own_plugins(kind):
            if listed.name == name:
                add_point(found, kind, listed.point)
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
        kind: `attack`, `defense`, `loss`, `backbone`, `dataset`, `format` or `hasher`
            (plurals do too).
    """
    wanted = kind_of(kind)
    return registry(wanted).names(wanted)


def known_names(kind: Kind) -> tuple[str, ...]:
    """The names of all plugins of a kind, sorted; hashbench's own are not imported for it."""
    own = {listed.name for listed in own_plugins(kind)}
    return tuple(sorted(own | set(registry_with("", kind).names(kind))))


def get(kind: Kind | str, name: str, **parameters: Any) -> Plugin:
    """Build a plugin by name.

    Args:
        kind: as for `names`.
        name: the plugin's name; `name@preset` and `name:key=value` do too, and `name:PATH` where
            the plugin needs a path alone.
        parameters: its dataclass fields; text is read as the field's type.

    Raises:
        UsageError: unknown name or parameter, or a value that does not fit; names the nearest one.

    Examples:
        >>> get("attack", "hag").steps, get("attack", "hag:steps=20").steps
        (100, 20)
        >>> get("attack", "hag@published", steps="20") == get("attack", "hag@published:steps=20")
        True
        >>> get("attack", "hagg")
        Traceback (most recent call last):
        hashbench.errors.UsageError: there is no attack 'hagg'; did you mean 'hag'? known: ...
    """
    wanted = kind_of(kind)
    spec = Spec.parse(spelled(wanted, name))
    entry = registry(wanted).find(wanted, spec.name)
    return build(entry.plugin, {**dict(spec.given), **parameters}, spec.preset)


def spelled(kind: Kind, text: str) -> str:
    """A plugin as it was typed, with the key of the path that it begins with.

    A plugin whose only parameter without a default is a path takes it without its key:
    `onnx:net.onnx` stands for `onnx:file=net.onnx`.

    Args:
        kind: of the plugin.
        text: as `Spec.parse` takes it, but for the key.

    Returns:
        What `Spec.parse` takes; any other text as it was.
    """
    head, _, tail = text.strip().partition(":")
    name = head.partition("@")[0].strip()
    if not tail or "=" in tail.partition(",")[0]:
        return text
    try:
        found = registry_with(name, kind).find(kind, name).plugin
    except UsageError:  # whoever builds it is told
        return text
    asked = without_default(found)
    paths = field_paths(found)
    return f"{head}:{asked[0]}={tail}" if len(asked) == 1 and asked[0] in paths else text


def kind_of(kind: Kind | str) -> Kind:
    """A kind as it was typed, in the plural too.

    Raises:
        UsageError: there is none of that name.
    """
    try:
        return Kind(kind)
    except ValueError:
        raise UsageError(f"no kind of plugin '{kind}'{did_you_mean(kind, Kind)}") from None
