"""The option `--expect RULE=WHY` of `hashbench check`: rules that an author says are not kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from hashbench.characters import shown
from hashbench.errors import UsageError
from hashbench.plugins.kinds import Kind
from hashbench.suggestions import did_you_mean

if TYPE_CHECKING:
    from hashbench.plugins.base import Plugin

Expected = Mapping[tuple[str, str], str]
"""Why, by a plugin's name (empty: of every one) and the name of a rule."""


def parse_expected(texts: Sequence[str]) -> Expected:
    """Read what was typed.

    Args:
        texts: such as `pass-count=the library asks twice`, or with the plugin that it is of,
            `my-attack/pass-count=...`.

    Raises:
        UsageError: a text has no rule or no reason, or a rule is named twice.
    """
    found: dict[tuple[str, str], str] = {}
    for text in texts:
        named, _, why = text.partition("=")
        plugin, _, rule = named.strip().rpartition("/")
        if not rule or not why.strip():
            raise UsageError(
                f"--expect {shown(text)}: expected RULE=WHY, the name of a rule and the reason why "
                "it cannot be kept, such as --expect 'pass-count=the library asks once more'"
            )
        if (plugin, rule) in found:
            raise UsageError(f"--expect {shown(named.strip())}: it is given twice")
        found[plugin, rule] = why.strip()
    return found


def expected_of(expected: Expected, plugins: Sequence[Plugin]) -> list[dict[str, str]]:
    """What is expected of each plugin: reasons by rules of its kind.

    A rule without a plugin's name is expected of every plugin that has such a rule.

    Raises:
        UsageError: a plugin or a rule is unknown.
    """
    from hashbench.testing.kit import rules_of

    rules = [rules_of(plugin) for plugin in plugins]
    found: list[dict[str, str]] = [{} for _ in plugins]
    # Those that name a plugin come last, so that they hold where both are given.
    for (name, rule), why in sorted(expected.items(), key=lambda item: item[0][0] != ""):
        names = [plugin.card.name for plugin in plugins]
        if name and name not in names:
            raise UsageError(f"--expect {shown(f'{name}/{rule}')}: {_no_plugin(name, names)}")
        places = [at for at, one in enumerate(names) if name in ("", one)]
        having = [at for at in places if rule in rules[at]]
        if not having:
            known = dict.fromkeys(rule for at in places for rule in rules[at])
            kinds = " or ".join(dict.fromkeys(str(plugins[at].card.kind) for at in places))
            raise UsageError(
                f"--expect {shown(rule)}: there is no rule of that name for a plugin of kind "
                f"{kinds}{did_you_mean(rule, known)}"
            )
        for at in having:
            found[at][rule] = why
    return found


def _no_plugin(name: str, names: Sequence[str]) -> str:
    for kind in Kind:
        if name in (kind.value, kind.plural):
            return f"before the slash stands a plugin's name, not its kind: {', '.join(names)}"
    return f"no plugin '{name}' is checked{did_you_mean(name, names)}"
