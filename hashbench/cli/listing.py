"""What `hashbench show` prints of a plugin."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Sequence
from enum import Enum
from typing import Any

from rich.table import Table
from rich.text import Text

from hashbench.cli.helped import reflowed
from hashbench.cli.plugin_list import NO_WORDS
from hashbench.cli.screen import print_trimmed, say_folded
from hashbench.console import TextConsole
from hashbench.eps import Norm
from hashbench.errors import UsageError
from hashbench.plugins.bibliography import Reference, references
from hashbench.plugins.card import Access, Aim, Card, Draws, Knowledge
from hashbench.plugins.described import parameter_words, prose
from hashbench.plugins.kinds import Kind
from hashbench.plugins.lookup import kind_of, known_names, registry_with
from hashbench.plugins.parameters import field_types, field_units, plain
from hashbench.plugins.registered import Entry, Registry
from hashbench.plugins.units import Unit
from hashbench.runner.suite import shipped
from hashbench.suggestions import did_you_mean

_ACCESS = {
    Access.NONE: "none",
    Access.RANKING: "ranked lists only",
    Access.DISTANCES: "distances only",
    Access.CODES: "codes only",
    Access.GRADIENT: "gradient",
}
_DRAWS = {
    Draws.EXPECTED_LOSS: "lowers the mean of its loss over the draws",
    Draws.MEAN_OUTPUT: "takes the mean output of the draws",
    Draws.MEAN_SCORE: "judges by the mean over the draws",
    Draws.SINGLE: "takes one draw at each look",
}
_KNOWLEDGE = {Knowledge.LABELS: "labels", Knowledge.TRAINING: "training codes"}


def print_plugin(console: TextConsole, name: str) -> None:
    """Everything about one plugin.

    Args:
        console: where to.
        name: its name, or `kind/name`.

    Raises:
        UsageError: there is none, or several kinds have one.
    """
    entry = _find(name)
    card, plugin = entry.plugin.card, entry.plugin
    say = console.print
    say(f"{card.kind} {card.name}", style="bold")
    say(reflowed(prose(plugin)) or NO_WORDS)
    papers = references(card.kind, card.name)
    facts = {
        "source": _source(card, papers),
        "looks at": "" if card.access is None else _ACCESS[card.access],
        "is told": ", ".join(_told(card)) or ("nothing" if card.access else ""),
        "if drawn": "" if card.draws is None else _DRAWS[card.draws],
        "works in": " and ".join(norm for norm in Norm if norm in card.norms),
        "leads": "to targets" if card.aim is Aim.TARGETED else "",
        "learns": "a network beforehand" if _learns(card, plugin) else "",
        "version": card.version,
        "api": str(card.api),
        "from": str(entry.origin),
    }
    say("")
    for fact, value in facts.items():
        if value:
            say(f"{fact + ':':10}{value}")
    _print_papers(console, card, papers)
    rows = _parameters(plugin)
    if rows:
        table = Table(box=None, pad_edge=False, title="parameters", title_justify="left")
        for heading in ("name", "type", "default"):
            table.add_column(heading, no_wrap=heading == "name")
        table.add_column("what it is", overflow="fold")
        for row in rows:
            table.add_row(*(Text(cell) for cell in row))
        say("")
        print_trimmed(console, table)
    units = field_units(plugin)
    for preset, values in card.presets.items():
        said = ", ".join(
            f"{key}={_written(value, units.get(key))}" for key, value in values.items()
        )
        say(f"\npreset {card.name}@{preset}: {said}")


def _source(card: Card, papers: Sequence[Reference]) -> str:
    """What a card says of its source; where that is BibTeX or a key, the words of it."""
    told = card.cite.strip()
    if told.startswith("@") or any(told == paper.key for paper in papers):
        return papers[0].words
    return told


def _print_papers(console: TextConsole, card: Card, papers: Sequence[Reference]) -> None:
    """Each source with its link, where the card does not say all of it."""
    told = _source(card, papers)
    for paper in papers:
        if paper.words == told and paper.url in told:
            continue
        label = "" if paper.words == told else paper.words
        say_folded(console, f"{'paper:':10}{label}".rstrip() + f" {paper.url}".rstrip())
    if papers:
        say_folded(console, f"{'bibtex:':10}hashbench cite {card.kind}/{card.name}")


def _learns(card: Card, plugin: type[Any]) -> bool:
    if card.kind is not Kind.ATTACK:
        return False
    from hashbench.plugins import TrainedAttack  # needs torch, as every attack does

    return issubclass(plugin, TrainedAttack)


def _told(card: Card) -> list[str]:
    targets = ["targets"] if card.aim is Aim.TARGETED else []
    return [*targets, *sorted(_KNOWLEDGE[known] for known in card.knowledge)]


def _find(name: str) -> Entry:
    kind, slash, bare = name.partition("/")
    if slash:
        wanted = kind_of(kind)
        return _one(registry_with(bare, wanted), wanted, bare)
    registry = registry_with(name)
    kinds = [kind for kind, known in registry.entries if known == name]
    if len(kinds) > 1:
        choices = " or ".join(f"{kind}/{name}" for kind in kinds)
        raise UsageError(f"several plugins are called '{name}': write {choices}")
    if not kinds:
        for broken in registry.broken:
            if broken.name == name:
                raise UsageError(f"plugin '{name}' of {broken.origin} is broken: {broken.reason}")
        everyone = {known for kind in Kind for known in known_names(kind)} | set(shipped())
        raise UsageError(f"there is no plugin or suite '{name}'{did_you_mean(name, everyone)}")
    return registry.find(kinds[0], name)


def _one(registry: Registry, kind: Kind, name: str) -> Entry:
    """The plugin of this kind and name.

    Raises:
        UsageError: there is none; the nearest of all is named, imported or not.
    """
    if (kind, name) not in registry.entries and not any(b.name == name for b in registry.broken):
        raise UsageError(f"there is no {kind} '{name}'{did_you_mean(name, known_names(kind))}")
    return registry.find(kind, name)


def _parameters(plugin: type[Any]) -> list[tuple[str, str, str, str]]:
    types, words, units = field_types(plugin), parameter_words(plugin), field_units(plugin)
    rows = []
    for field in dataclasses.fields(plugin) if types else ():
        if not field.init:
            continue
        if field.default is not dataclasses.MISSING:
            default = _written(field.default, units.get(field.name))
        elif field.default_factory is not dataclasses.MISSING:
            default = _written(field.default_factory(), units.get(field.name))
        else:
            default = "required"
        rows.append((field.name, _kind(types[field.name]), default, words.get(field.name, "")))
    return rows


def _written(value: Any, unit: Unit | None) -> str:
    """A value as it may be typed; one in pixels as `1/255`, where it is the float nearest to it."""
    if isinstance(value, bool):
        return str(value).lower()
    pixels = unit is Unit.PIXELS and isinstance(value, float)
    steps = round(value * 255) if pixels else 0
    if 0 < abs(steps) < 255 and value == steps / 255:  # what is no part of a pixel's range is none
        return f"{steps}/255"
    return "none" if value is None else str(plain(value))


def _kind(kind: Any) -> str:
    """A type as one who types a value calls it; the values of a choice."""
    if isinstance(kind, type) and issubclass(kind, Enum):
        return " or ".join(str(member.value) for member in kind)
    names = {bool: "true or false", int: "whole number", float: "number", str: "text"}
    if kind in names:
        return names[kind]
    choices = [choice for choice in typing.get_args(kind) if choice is not type(None)]
    return _kind(choices[0]) if len(choices) == 1 else getattr(kind, "__name__", str(kind)).lower()
