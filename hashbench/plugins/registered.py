"""The registry: which plugins there are, where each came from, which are broken.

A plain object without import side effects; `discovery` fills one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.metadata import EntryPoint
from pathlib import Path

from typing_extensions import override

from hashbench.characters import shortened
from hashbench.errors import UsageError
from hashbench.plugins.base import Plugin
from hashbench.plugins.kinds import Kind
from hashbench.suggestions import did_you_mean


@dataclass(frozen=True)
class Origin:
    """Where a plugin came from.

    Attributes:
        source: the distribution's name, or the path of a `--plugin` file.
        version: the distribution's version; empty for a file.
        target: the module that was imported.
    """

    source: str
    version: str
    target: str

    @override
    def __str__(self) -> str:
        return f"{self.source} {self.version}".strip() + f" ({self.target})"


def origin_of(point: EntryPoint) -> Origin:
    """Where the plugins of an entry point come from."""
    return Origin(
        source=point.dist.name if point.dist else "unknown distribution",
        version=point.dist.version if point.dist else "",
        target=point.value,
    )


@dataclass(frozen=True)
class Entry:
    """One plugin that loaded."""

    plugin: type[Plugin]
    origin: Origin


@dataclass(frozen=True)
class Broken:
    """One plugin that did not load; it stops nothing else.

    Attributes:
        kind: what it is; `None` for a file that did not load, which may hold anything.
        name: the plugin's name, or that of its entry point or file.
        origin: where it came from.
        reason: what was wrong, in a sentence.
        traceback: where; empty where nothing was raised.
        error: what was raised.
    """

    kind: Kind | None
    name: str
    origin: Origin
    reason: str
    traceback: str
    error: BaseException | None = field(default=None, compare=False, repr=False)


@dataclass
class Registry:
    """Plugins by kind and name, of the kinds that were looked for."""

    entries: dict[tuple[Kind, str], list[Entry]] = field(default_factory=dict)
    broken: list[Broken] = field(default_factory=list)
    looked_for: set[Kind] = field(default_factory=set)
    imported: set[tuple[Kind, str, str]] = field(default_factory=set)
    files: list[Path] = field(default_factory=list)

    def add(self, plugin: type[Plugin], origin: Origin) -> None:
        """Add a plugin; the same class from a second entry point counts once."""
        entries = self.entries.setdefault((plugin.card.kind, plugin.card.name), [])
        if all(entry.plugin is not plugin for entry in entries):
            entries.append(Entry(plugin, origin))

    def forget(self, source: str) -> None:
        """Drop what was found in one place, since it is about to be looked at again."""
        self.entries = {
            key: kept
            for key, entries in self.entries.items()
            if (kept := [entry for entry in entries if entry.origin.source != source])
        }
        self.broken = [broken for broken in self.broken if broken.origin.source != source]

    def names(self, kind: Kind) -> tuple[str, ...]:
        """Every name of a kind, sorted."""
        return tuple(sorted(name for of, name in self.entries if of is kind))

    def find(self, kind: Kind, name: str) -> Entry:
        """The plugin of this name.

        Raises:
            UsageError: there is none, it is broken, or two plugins bear the name.
        """
        entries = self.entries.get((kind, name), [])
        if len(entries) == 1:
            return entries[0]
        if entries:
            origins = " and ".join(str(entry.origin) for entry in entries)
            raise UsageError(
                f"two plugins are called {kind} '{name}': {origins}; uninstall or rename one"
            )
        for broken in self.broken:
            if broken.name == name and broken.kind in (kind, None):
                raise UsageError(
                    f"{kind} '{name}' of {broken.origin} is broken: {broken.reason} "
                    "('hashbench plugins --verbose' shows where)"
                ) from broken.error
        raise self.without_broken_files(
            f"there is no {kind} '{shortened(name)}'{did_you_mean(name, self.names(kind))}"
        )

    def without_broken_files(self, sentence: str) -> UsageError:
        """That a plugin is not found, behind the files that did not load: it may be in one of them.

        Args:
            sentence: that it is not found.
        """
        lost = [broken for broken in self.broken if broken.kind is None]
        if not lost:
            return UsageError(sentence)
        causes = "; ".join(
            f"plugin file {broken.origin.source} is broken: {broken.reason}" for broken in lost
        )
        error = UsageError(f"{causes}; without it {sentence}")
        error.__cause__ = lost[0].error
        return error
