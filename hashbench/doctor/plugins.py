"""Plugins: those of other packages, and those that do not load."""

from __future__ import annotations

from collections.abc import Iterator

from hashbench.characters import shortened
from hashbench.doctor.finding import LONGEST, Finding, State


def plugins() -> Iterator[Finding]:
    """How many plugins there are; where those of others and reporters come from; which are broken.

    Imports all of them, which needs torch.
    """
    from hashbench.plugins.catalog import OWN
    from hashbench.plugins.lookup import registry
    from hashbench.runner.outside import installed

    found = registry()
    own, others = 0, dict[str, list[str]]()
    for (kind, name), entries in sorted(found.entries.items()):
        for entry in entries:
            if entry.origin.source == OWN:
                own += 1
            else:
                source = f"{entry.origin.source} {entry.origin.version}".strip()
                others.setdefault(source, []).append(f"{kind} '{name}'")
        if len(entries) > 1:
            origins = " and ".join(str(entry.origin) for entry in entries)
            text = f"two are called {kind} '{name}': {origins}; uninstall or rename one"
            yield Finding("plugins", State.WRONG, text)
    yield Finding("plugins", State.OK, f"{own:,} of hashbench")
    for source, names in others.items():
        yield Finding("plugins", State.OK, f"{source}: {', '.join(names)}")
    reporters, lost = installed()
    for reporter in reporters:
        source = f"{reporter.origin.source} {reporter.origin.version}".strip()
        yield Finding("plugins", State.OK, f"{source}: reporter '{reporter.name}'")
    for broken in (*found.broken, *lost):
        word = "reporter" if broken in lost else broken.kind or "plugin"
        what = f"{word} '{broken.name}' of {broken.origin} is broken"
        reason = shortened(" ".join(broken.reason.split()), LONGEST)
        todo = (
            "reinstall hashbench"
            if broken.origin.source == OWN
            else f"update or uninstall {broken.origin.source}; nothing else is touched by it"
        )
        yield Finding("plugins", State.WRONG, f"{what}: {reason}; {todo}")
