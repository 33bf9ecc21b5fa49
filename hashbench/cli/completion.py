"""What the Tab key offers: names of plugins, suites and formats. Answers without torch.

Names come from sources that are read, not imported (`hashbench.plugins.catalog`); only plugins of
other packages are imported for theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from hashbench.errors import UsageError

Complete = Callable[[str], list[str]]
"""From what is typed so far to what may be meant."""


def plugins_of(*kinds: str) -> Complete:
    """Names of plugins of these kinds.

    Args:
        kinds: `attack`, `defense`, ...
    """

    def complete(incomplete: str) -> list[str]:
        return _beginning(incomplete, _names(kinds))

    return complete


def suites(incomplete: str) -> list[str]:
    """Names of the suites that ship."""
    from hashbench.runner.suite import shipped

    return _beginning(incomplete, shipped())


def origin_names(incomplete: str) -> list[str]:
    """Data sets whose origin is known."""
    from hashbench.data.origins import ORIGINS

    return _beginning(incomplete, ORIGINS)


def shown(incomplete: str) -> list[str]:
    """What `hashbench show` takes: every plugin and every suite."""
    return sorted({*plugins_of(*_kinds())(incomplete), *suites(incomplete)})


def citable(incomplete: str) -> list[str]:
    """What `hashbench cite` takes: every plugin, every key of the bibliography, hashbench."""
    from hashbench.plugins.bibliography import by_key

    return sorted({*plugins_of(*_kinds())(incomplete), *_beginning(incomplete, by_key())})


def choice(*words: str) -> Complete:
    """One of a few words."""

    def complete(incomplete: str) -> list[str]:
        return _beginning(incomplete, words)

    return complete


def kinds(incomplete: str) -> list[str]:
    """The kinds of plugins."""
    return _beginning(incomplete, _kinds())


def _kinds() -> list[str]:
    from hashbench.plugins.kinds import Kind

    return [str(kind) for kind in Kind]


def _names(kinds: Iterable[str]) -> set[str]:
    from hashbench.plugins.kinds import Kind
    from hashbench.plugins.lookup import known_names

    try:
        return {name for kind in kinds for name in known_names(Kind(kind))}
    except UsageError:
        return set()  # nobody reads an error while he types


def _beginning(incomplete: str, names: Iterable[str]) -> list[str]:
    return sorted(name for name in names if name.startswith(incomplete))
