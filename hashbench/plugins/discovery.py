"""Finds plugins: entry points of installed packages, and single files named by the user."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import sys
import traceback
from collections.abc import Sequence
from importlib.machinery import SourceFileLoader
from importlib.metadata import EntryPoint, entry_points, version
from pathlib import Path
from types import ModuleType
from typing import Any, TypeGuard

from typing_extensions import override

from hashbench.errors import UsageError
from hashbench.files import why_no_file
from hashbench.plugins.base import Plugin
from hashbench.plugins.blame import place_in_module
from hashbench.plugins.card import API
from hashbench.plugins.kinds import Kind
from hashbench.plugins.misspelt import missing_methods
from hashbench.plugins.registered import Broken, Origin, Registry, origin_of


def add_installed(registry: Registry, kind: Kind) -> None:
    """Add every installed plugin of a kind, once; whatever fails to load is listed as broken.

    Kinds are looked for one by one, so that a report imports no attack, and hence no torch.
    """
    if kind in registry.looked_for:
        return
    registry.looked_for.add(kind)
    for point in sorted(entry_points(group=kind.group), key=lambda point: point.name):
        add_point(registry, kind, point)


def add_file(registry: Registry, path: Path) -> None:
    """Add the plugins of one Python file; a file that was added before is read anew.

    Args:
        registry: receives them, or a broken entry when the file fails to load.
        path: the file; its code is run.

    Raises:
        UsageError: there is no such file.
    """
    if not path.is_file():
        raise UsageError(f"plugin file {path}: {why_no_file(path)}")
    # Resolved, so that a file is one place however it is spelled: two runs of one session may name
    # it twice, and it may have been edited in between.
    origin = Origin(source=str(path.resolve()), version="", target=path.name)
    registry.forget(origin.source)
    if path.resolve() not in registry.files:
        registry.files.append(path.resolve())
    try:
        _add_all(registry, _plugins_in(_import_file(path)), origin)
    except (Exception, SystemExit) as error:  # a plugin's import may raise anything
        place = place_in_module(error, _module_name(path))
        registry.broken.append(broken_by(None, path.stem, origin, error, place))


def add_point(registry: Registry, kind: Kind, point: EntryPoint) -> None:
    """Add the plugins of one entry point, once; what fails to load is listed as broken."""
    place = (kind, point.name, point.value)
    if place in registry.imported:
        return
    registry.imported.add(place)
    origin = origin_of(point)
    try:
        plugins = _plugins_in(point.load())
        of_kind = [plugin for plugin in plugins if plugin.card.kind is kind]
        _add_all(registry, of_kind, origin, kind)
    except (Exception, SystemExit) as error:  # a plugin's import may raise anything
        where = place_in_module(error, point.module)
        registry.broken.append(broken_by(kind, point.name, origin, error, where))


def _add_all(
    registry: Registry,
    plugins: Sequence[type[Plugin]],
    origin: Origin,
    kind: Kind | None = None,
) -> None:
    if not plugins:
        raise UsageError(
            f"it declares no plugin{' of this kind' if kind else ''}: is the decorator, as in "
            f"@{(kind or Kind.ATTACK).decorator}('name'), missing?"
        )
    for plugin in plugins:
        if plugin.card.api > API:
            # Once, though two entry points may name one module.
            if (late := _of_later_api(plugin, origin)) not in registry.broken:
                registry.broken.append(late)
            continue
        if missing := missing_methods(plugin):
            raise UsageError(missing)
        registry.add(plugin, origin)


def _plugins_in(found: Any) -> list[type[Plugin]]:
    """Decorated classes: the object itself, or all that a module defines (not what it imports)."""
    if not isinstance(found, ModuleType):
        return [found] if _is_plugin(found) else []
    return [
        member
        for member in vars(found).values()
        if _is_plugin(member) and f"{member.__module__}.".startswith(f"{found.__name__}.")
    ]


def _is_plugin(member: Any) -> TypeGuard[type[Plugin]]:
    return isinstance(member, type) and issubclass(member, Plugin) and "card" in vars(member)


class _FreshLoader(SourceFileLoader):
    """Reads the source itself and keeps no bytecode, which would go by modification time."""

    @override
    def path_stats(self, path: str) -> Any:
        raise OSError(f"{path}: no bytecode is kept")


def _import_file(path: Path) -> ModuleType:
    name = _module_name(path)
    loader = _FreshLoader(name, str(path))
    spec = importlib.util.spec_from_file_location(name, path, loader=loader)
    if spec is None or path.suffix != ".py":
        raise UsageError(f"plugin file {path}: not a Python file (its name must end in .py)")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up while they are made
    try:
        loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _module_name(path: Path) -> str:
    """With the path's hash: two files of one name are two modules."""
    unique = hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:8]
    return f"hashbench_plugin_{path.stem}_{unique}"


def _of_later_api(plugin: type[Plugin], origin: Origin) -> Broken:
    card = plugin.card
    here = version("hashbench")
    reason = (
        f"it was written for version {card.api} of the plugin interface; hashbench {here} has "
        f"version {API}: update hashbench (pip install --upgrade hashbench), or install an "
        "earlier version of the plugin"
    )
    return Broken(card.kind, card.name, origin, reason, traceback="")


def broken_by(
    kind: Kind | None, name: str, origin: Origin, error: BaseException, place: str
) -> Broken:
    """What did not load, with the reason that people are told.

    Args:
        kind: of plugin, where it is one of a kind.
        name: of it, or of its entry point or file.
        origin: where it comes from.
        error: what its import raised.
        place: the file and line of it, where they are known.
    """
    # Of a wrong syntax Python's own text ends in the file and line.
    said = (error.msg if isinstance(error, SyntaxError) else str(error)) or ""
    ours = isinstance(error, UsageError)
    reason = said if ours else f"{type(error).__name__}: {said}".rstrip(": ")
    return Broken(
        kind=kind,
        name=name,
        origin=origin,
        reason=f"{reason} ({place})" if place and place not in reason else reason,
        traceback="".join(traceback.format_exception(error)),
        error=error,
    )
