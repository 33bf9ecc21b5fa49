"""What `hashbench plugins` prints: a line for every plugin, and the broken ones with the reason."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, Final

from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from hashbench import plugins
from hashbench.characters import counted
from hashbench.cli.screen import print_trimmed
from hashbench.console import TextConsole
from hashbench.plugins.catalog import OWN, Listed, own_plugins
from hashbench.plugins.kinds import Kind
from hashbench.plugins.lookup import registry_with
from hashbench.plugins.registered import Broken, Origin, Registry

if TYPE_CHECKING:
    from hashbench.runner.outside import Outside

NO_WORDS: Final = "no description"
"""Of a plugin without a docstring: its author wrote none, or Python took it away at `-OO`."""

WIDEST: Final = 24
"""Columns of a terminal that a name may take."""


@dataclass(frozen=True)
class Line:
    """One plugin of the list.

    Attributes:
        kind: what it is.
        name: how a user types it.
        origin: where it comes from.
        summary: what it says of itself; `None` where its module was not imported for that.
        access, aim: of an attack; empty of other kinds.
    """

    kind: Kind
    name: str
    origin: Origin
    summary: str | None
    access: str = ""
    aim: str = ""


def print_plugins(
    console: TextConsole,
    kinds: Sequence[Kind] = (),
    *,
    verbose: bool = False,
    as_json: bool = False,
) -> None:
    """All plugins, then the broken ones with their reason.

    On a terminal a table of each kind, attacks last; elsewhere a line a plugin, for `grep`.

    Args:
        console: where to.
        kinds: the kinds to list; by default all, where networks that one module makes share a line.
        verbose: import hashbench's own plugins too, so that the broken ones are told as well; show
            tracebacks.
        as_json: one JSON array in place of the tables, everything in it.
    """
    whole = verbose or as_json or Kind.BACKBONE in kinds
    lines = list(_lines(kinds or tuple(Kind), whole=whole))
    registry = plugins.registry(*kinds) if verbose else registry_with("", *kinds)
    reporters, lost = _reporters() if not kinds else ([], [])
    if as_json:
        plain = [*map(_plain, lines), *map(_plain_reporter, reporters)]
        console.file.write(json.dumps(plain, indent=2) + "\n")
    elif not console.is_terminal:
        _print_flat(console, lines, reporters)
    else:
        if reporters:
            console.print(f"reporters ({len(reporters)})", style="bold")
            for one in reporters:
                console.say(f"{one.name}  {one.origin.source}  {one.summary}".rstrip(" ."))
            console.print()
        # What stands last is what a screen still shows.
        for place, kind in enumerate(reversed(kinds or tuple(Kind))):
            if place:
                console.print()
            _print_kind(
                console, kind, [line for line in lines if line.kind is kind], whole=bool(kinds)
            )
    for broken in registry.broken if not as_json else ():
        _print_broken(console, broken, verbose=verbose)
    for broken in lost if not as_json else ():
        _print_broken(console, broken, verbose=verbose, what="reporter")


def _reporters() -> tuple[list[Outside], list[Broken]]:
    """Reporters of installed packages; where there is no entry point, nothing is imported."""
    if not entry_points(group="hashbench.reporters"):
        return [], []
    from hashbench.runner.outside import installed

    return installed()


def _plain_reporter(reporter: Outside) -> dict[str, Any]:
    return {
        "kind": "reporter",
        "name": reporter.name,
        "summary": reporter.summary,
        "source": reporter.origin.source,
        "version": reporter.origin.version,
        "module": reporter.origin.target,
    }


def _lines(kinds: Sequence[Kind], *, whole: bool) -> Iterator[Line]:
    """Every plugin of these kinds, sorted by name.

    Args:
        kinds: which.
        whole: import what has to be imported for a summary.
    """
    for kind in kinds:
        own = own_plugins(kind)
        registry = registry_with("", kind)
        if whole:
            for name in {listed.name for listed in own if listed.summary is None}:
                registry = registry_with(name, kind)
        found = [_of_source(listed) for listed in own if listed.summary is not None or not whole]
        read = {(line.name, line.origin) for line in found}
        found += [
            line for line in _of_registry(registry, kind) if (line.name, line.origin) not in read
        ]
        yield from sorted(found, key=lambda line: (line.name, str(line.origin)))


def _of_source(listed: Listed) -> Line:
    access, aim = str(listed.access or ""), str(listed.aim or "")
    return Line(listed.kind, listed.name, listed.origin, listed.summary, access, aim)


def _of_registry(registry: Registry, kind: Kind) -> Iterator[Line]:
    for name in registry.names(kind):
        for entry in registry.entries[kind, name]:
            card = entry.plugin.card
            access, aim = str(card.access or ""), str(card.aim or "")
            yield Line(kind, name, entry.origin, card.summary, access, aim)


def _plain(line: Line) -> dict[str, Any]:
    facts = {"access": line.access, "aim": line.aim} if line.kind is Kind.ATTACK else {}
    return {
        "kind": str(line.kind),
        "name": line.name,
        "summary": line.summary or "",
        **facts,
        "source": line.origin.source,
        "version": line.origin.version,
        "module": line.origin.target,
    }


def _print_flat(console: TextConsole, lines: Sequence[Line], reporters: Sequence[Outside]) -> None:
    rows = [("kind", "name", "from", "access", "aim", "what it is")]
    for line in lines:
        words = "a network: see --kind backbone" if line.summary is None else line.summary
        facts = (line.access or "-", line.aim or "-", words.rstrip(".") or NO_WORDS)
        rows.append((str(line.kind), line.name, line.origin.source, *facts))
    for one in reporters:
        words = one.summary.rstrip(".") or NO_WORDS
        rows.append(("reporter", one.name, one.origin.source, "-", "-", words))
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        fields = (
            f"{text}{' ' * (width - cell_len(text))}"
            for text, width in zip(row, widths, strict=True)
        )
        console.say("  ".join(fields).rstrip())


def _print_kind(console: TextConsole, kind: Kind, lines: Sequence[Line], *, whole: bool) -> None:
    """A table of one kind.

    Args:
        console: where to.
        kind: which.
        lines: its plugins.
        whole: whether a summary may take several lines.
    """
    console.print(f"{kind.plural} ({len(lines)})", style="bold")
    described = [line for line in lines if line.summary is not None]
    columns: list[tuple[str, Callable[[Line], str]]] = [("name", lambda line: line.name)]
    if kind is Kind.ATTACK:
        columns += [("access", lambda line: line.access), ("aim", lambda line: line.aim)]
    if any(line.origin.source != OWN for line in described):
        columns.append(("from", lambda line: line.origin.source))
    table = Table(box=None, pad_edge=False, header_style="dim")
    room = console.width
    for heading, read in columns:
        longest = max(map(cell_len, (heading, *map(read, described))))
        width = min(longest, WIDEST)
        room -= width + 2
        table.add_column(heading, no_wrap=True, overflow="ellipsis", min_width=width)
    table.add_column("what it is", overflow="fold")
    for line in described:
        words = Text((line.summary or "").rstrip(".") or NO_WORDS)
        if not whole:
            words.truncate(max(room, 1), overflow="ellipsis")
        table.add_row(*(Text(read(line)) for _, read in columns), words)
    print_trimmed(console, table)
    folded: dict[str, list[str]] = {}
    for line in lines:
        if line.summary is None:
            folded.setdefault(line.origin.target, []).append(line.name)
    for module, names in folded.items():
        console.print(
            f"{counted(len(names), 'network')} of {module.rpartition('.')[2]} "
            f"('--kind {kind}' describes them): {', '.join(names)}"
        )


def _print_broken(
    console: TextConsole, broken: Broken, *, verbose: bool, what: str = "plugin"
) -> None:
    console.print(
        f"\nbroken: {broken.kind or what} '{broken.name}' of {broken.origin}\n  {broken.reason}",
        style="red",
    )
    if verbose and broken.traceback:
        console.print(broken.traceback)
