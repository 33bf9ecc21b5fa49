"""What hashbench's own plugins say of themselves, read from their sources without running them.

Most of them need torch, which takes longer to import than a list takes to print. Plugins of other
packages may be declared in any way, so they are imported, as are those of ours whose module makes
them in a loop, once more than their names is asked for.
"""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Final

from hashbench.plugins.card import Access, Aim
from hashbench.plugins.kinds import Kind
from hashbench.plugins.registered import Origin, origin_of

OWN: Final = "hashbench"
"""The distribution whose sources are read."""

TABLE: Final = "TABLE"
"""A module that makes a plugin of each row of a table calls it this; its keys are their names."""


@dataclass(frozen=True)
class Listed:
    """One plugin as far as its source tells.

    Attributes:
        kind: what it is.
        name: how a user types it.
        point: the entry point whose module declares it.
        summary: the first line of its docstring; `None` where the module has to be run for it.
        access, aim: of an attack; `None` of other kinds.
    """

    kind: Kind
    name: str
    point: EntryPoint
    summary: str | None = None
    access: Access | None = None
    aim: Aim | None = None

    @property
    def origin(self) -> Origin:
        """Where it comes from."""
        return origin_of(self.point)


@cache
def own_plugins(kind: Kind) -> tuple[Listed, ...]:
    """Every plugin of a kind that ships with hashbench, sorted by name.

    Where a source cannot be found or read, as in a package without sources, its plugins are left
    out: `unread` names its entry point.
    """
    found = {
        listed.name: listed
        for point in _points(kind)
        if point.dist is not None and point.dist.name == OWN
        for listed in _declared(kind, point)
    }
    return tuple(found[name] for name in sorted(found))


@cache
def unread(kind: Kind) -> tuple[EntryPoint, ...]:
    """The entry points of a kind that have to be imported to be known: those of others."""
    read = {listed.point.value for listed in own_plugins(kind)}
    return tuple(
        point
        for point in _points(kind)
        if point.dist is None or point.dist.name != OWN or point.value not in read
    )


@cache
def _points(kind: Kind) -> tuple[EntryPoint, ...]:
    return tuple(sorted(entry_points(group=kind.group), key=lambda point: point.name))


def _declared(kind: Kind, point: EntryPoint) -> Iterator[Listed]:
    source = _source(point.module)
    if source is None or point.attr:
        return
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return  # whoever imports it is told
    for statement in tree.body:
        if isinstance(statement, ast.ClassDef):
            for decorator in statement.decorator_list:
                yield from _decorated(kind, point, decorator, statement)
        else:
            for name in _table(statement):
                yield Listed(kind, name, point)


def _source(module: str) -> str | None:
    """The text of a module, found without importing what is above it but the root."""
    root, *parts = module.split(".")
    for depth in (1, 0):  # rooms of the package may lie beside it, so ask for them by name
        head, rest = ".".join([root, *parts[:depth]]), parts[depth:]
        try:
            spec = importlib.util.find_spec(head)
        except (ImportError, ValueError):
            continue
        for folder in (spec.submodule_search_locations if spec is not None else None) or ():
            path = Path(folder).joinpath(*rest)
            for file in (path.with_suffix(".py"), path / "__init__.py"):
                try:
                    return file.read_text(encoding="utf-8")
                except OSError:
                    continue
    return None


def _decorated(
    kind: Kind, point: EntryPoint, decorator: ast.expr, cls: ast.ClassDef
) -> Iterator[Listed]:
    """The plugin that a decorator such as `@attack("hag", ...)` declares; nothing of any other."""
    if not (isinstance(decorator, ast.Call) and isinstance(decorator.func, ast.Name)):
        return
    name = _constant(decorator.args[0]) if decorator.args else None
    if decorator.func.id != kind.decorator or not isinstance(name, str):
        return
    given = {word.arg: word.value for word in decorator.keywords}
    is_attack = kind is Kind.ATTACK
    yield Listed(
        kind=kind,
        name=name,
        point=point,
        summary=(ast.get_docstring(cls) or "").strip().split("\n")[0],
        access=_member(Access, given.get("access"), Access.GRADIENT) if is_attack else None,
        aim=_member(Aim, given.get("aim"), Aim.UNTARGETED) if is_attack else None,
    )


def _table(statement: ast.stmt) -> list[str]:
    """The keys of a module's table of plugins; none of any other statement."""
    if not (isinstance(statement, ast.AnnAssign) and isinstance(statement.value, ast.Dict)):
        return []
    if not (isinstance(statement.target, ast.Name) and statement.target.id == TABLE):
        return []
    keys = [None if key is None else _constant(key) for key in statement.value.keys]
    return [key for key in keys if isinstance(key, str)]


def _constant(node: ast.expr) -> Any:
    return node.value if isinstance(node, ast.Constant) else None


def _member(kind: Any, node: ast.expr | None, otherwise: Any) -> Any:
    """The member that `Access.CODES` names; what the decorator takes where it says none."""
    return kind[node.attr] if isinstance(node, ast.Attribute) else otherwise
