"""The base class of every plugin, and the decorators that give a class its card.

Decorating registers nothing: the registry finds decorated classes in the modules that entry points
and `--plugin` files name. So importing a plugin twice, or for its types alone, has no side effect.
"""

from __future__ import annotations

import re
from abc import ABC
from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import ClassVar, Protocol, TypeVar

from hashbench.eps import Norm
from hashbench.errors import UsageError
from hashbench.plugins.card import Access, Aim, Card, Draws, Knowledge
from hashbench.plugins.kinds import Kind

NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


class Plugin(ABC):
    """A frozen dataclass whose fields are its parameters, with a card that a decorator sets."""

    card: ClassVar[Card]

    def reads(self) -> tuple[Path, ...]:
        """Files whose content decides what the plugin does, such as weights; by default none.

        Their SHA-256 becomes part of every key that the plugin is part of.
        """
        return ()


PluginT = TypeVar("PluginT", bound=Plugin)


class Decorator(Protocol):
    """Gives a plugin class its card and returns it."""

    def __call__(self, cls: type[PluginT], /) -> type[PluginT]:
        """Return `cls`, now with a card."""


_DRAWS_OF = {
    Access.GRADIENT: Draws.MEAN_OUTPUT,
    Access.CODES: Draws.SINGLE,
    Access.DISTANCES: Draws.SINGLE,
    Access.RANKING: Draws.SINGLE,
}
"""What an attack that says nothing of draws gets, by how it looks at the model."""


def attack(
    name: str,
    *,
    cite: str = "",
    version: str = "1",
    presets: Mapping[str, Mapping[str, object]] | None = None,
    access: Access = Access.GRADIENT,
    knowledge: Iterable[Knowledge] = (Knowledge.LABELS, Knowledge.TRAINING),
    aim: Aim = Aim.UNTARGETED,
    draws: Draws | None = None,
    norms: Iterable[Norm] = (Norm.LINF,),
    api: int = 1,
) -> Decorator:
    """Declare a dataclass to be the attack `name`.

    Args:
        name: what a user types: small letters, digits and single hyphens.
        cite: what a paper cites for it: free text, an address, whole BibTeX entries, or a key of
            hashbench's own bibliography (`hashbench cite NAME` makes BibTeX of it).
        version: raise it when the method changes, so that old results no longer count.
        presets: named parameter sets, typed as `name@preset`.
        access: how the attack looks at the model.
        knowledge: what it is told besides the image; `()` for a label-free attack.
        aim: where it leads the query; a targeted attack is told the labels to lead it to.
        draws: what it does at a model that draws at random. By default what `AttackedModel` gives
            by itself: the mean output to an attack by gradients, else a single draw.
        norms: of which norms a ball may be that it works in; `threat.norm` says which one it is
            given. A grid leaves it out at radii of other norms.
        api: the version of the plugin interface that it was written for. An older hashbench, which
            does not know it, lists the plugin as broken and says what to do.

    Raises:
        UsageError: an argument is not what it should be.
    """
    told, within = frozenset(knowledge), frozenset(norms)
    draws = _DRAWS_OF.get(access) if draws is None else draws
    members: list[tuple[object, type[StrEnum]]] = [(access, Access), (aim, Aim)]
    members += [(one, Knowledge) for one in told]
    members += [(one, Norm) for one in within]
    members += [] if draws is None else [(draws, Draws)]
    for value, kind in members:
        if not isinstance(value, kind):
            raise UsageError(
                f"attack '{name}': expected a member of hashbench.plugins.{kind.__name__}, such as "
                f"{kind.__name__}.{next(iter(kind)).name}, found {value!r}"
            )
    if not within:
        raise UsageError(f"attack '{name}': norms is empty, but it must work in some ball")
    return _carded(
        Kind.ATTACK,
        name,
        cite,
        version,
        presets,
        api,
        access=access,
        knowledge=told,
        aim=aim,
        draws=draws,
        norms=within,
    )


class Declaration(Protocol):
    """What declares a plugin of one kind; the arguments are those of `attack`."""

    def __call__(
        self,
        name: str,
        *,
        cite: str = "",
        version: str = "1",
        presets: Mapping[str, Mapping[str, object]] | None = None,
        api: int = 1,
    ) -> Decorator:
        """Return a decorator for the class of the plugin `name`."""


def _declaration(kind: Kind) -> Declaration:
    """The decorator of a kind that says no more of a plugin than its name and parameters."""

    def declare(
        name: str,
        *,
        cite: str = "",
        version: str = "1",
        presets: Mapping[str, Mapping[str, object]] | None = None,
        api: int = 1,
    ) -> Decorator:
        return _carded(kind, name, cite, version, presets, api)

    declare.__name__ = declare.__qualname__ = kind.value
    declare.__doc__ = (
        f"Declare a dataclass to be the {kind} `name`; the arguments are those of `attack`."
    )
    return declare


defense = _declaration(Kind.DEFENSE)
loss = _declaration(Kind.LOSS)
backbone = _declaration(Kind.BACKBONE)
dataset = _declaration(Kind.DATASET)
hasher = _declaration(Kind.HASHER)


def report_format(name: str, *, version: str = "1", api: int = 1) -> Decorator:
    """Declare a dataclass to be the report format `name`; the arguments are those of `attack`."""
    return _carded(Kind.FORMAT, name, "", version, None, api)


def docstring(cls: type) -> str:
    """What a class's author wrote of it: empty where a dataclass made its signature to be one.

    Python leaves all docstrings out where PYTHONOPTIMIZE is 2.
    """
    text = cls.__doc__ or ""
    return "" if text.startswith(f"{cls.__name__}(") else text


def _carded(
    kind: Kind,
    name: str,
    cite: str,
    version: str,
    presets: Mapping[str, Mapping[str, object]] | None,
    api: int,
    access: Access | None = None,
    knowledge: frozenset[Knowledge] = frozenset(),
    aim: Aim | None = None,
    draws: Draws | None = None,
    norms: frozenset[Norm] = frozenset(),
) -> Decorator:
    if not NAME.fullmatch(name):
        raise UsageError(
            f"{kind} name '{name}': use small letters, digits and single hyphens, as in pgd-hamming"
        )
    if not isinstance(api, int) or isinstance(api, bool) or api < 1:
        raise UsageError(
            f"{kind} '{name}': api is the version of the plugin interface, a whole number from 1 "
            f"on, found {api!r}"
        )

    def decorate(cls: type[PluginT], /) -> type[PluginT]:
        cls.card = Card(
            kind=kind,
            name=name,
            summary=docstring(cls).strip().split("\n")[0],
            cite=cite,
            version=version,
            presets=dict(presets or {}),
            access=access,
            knowledge=knowledge,
            aim=aim,
            draws=draws,
            norms=norms,
            api=api,
        )
        return cls

    return decorate
