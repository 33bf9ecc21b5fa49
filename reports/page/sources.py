"""What the models and attacks of a page are built on: references, each once. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from hashbench.plugins.bibliography import Reference, bibliography, references
from hashbench.plugins.kinds import Kind
from hashbench.reports.board.leaderboard import Group
from hashbench.reports.papers.published import name_of


class Sources:
    """Collects the references of a page, in the order in which they are first named."""

    def __init__(self) -> None:
        self._by_plugin: dict[tuple[Kind, str], tuple[Reference, ...]] = {}

    @property
    def all(self) -> tuple[Reference, ...]:
        """Every reference that was named, by its key."""
        found = bibliography(several for _, several in sorted(self._by_plugin.items()))
        return tuple(sorted(found, key=lambda one: one.key))

    def of(self, group: Group, defense: str, attacks: Iterable[str]) -> tuple[Reference, ...]:
        """The references of one model and its attacks, each once.

        Args:
            group: which names data set, loss and backbone.
            defense: canonical name.
            attacks: canonical names.
        """
        used = [
            (Kind.DEFENSE, defense),
            *((Kind.ATTACK, attack) for attack in attacks),
            (Kind.LOSS, group.loss),
            (Kind.BACKBONE, group.backbone),
            (Kind.DATASET, group.dataset),
        ]
        return bibliography(self._look(kind, name_of(text)) for kind, text in used)

    def _look(self, kind: Kind, name: str) -> tuple[Reference, ...]:
        if (kind, name) not in self._by_plugin:
            self._by_plugin[kind, name] = references(kind, name)
        return self._by_plugin[kind, name]
