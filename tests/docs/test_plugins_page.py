"""docs/plugins.md is what the registry says of the plugins that ship."""

from __future__ import annotations

import re

import pytest

from hashbench import plugins
from hashbench.plugins import Kind
from hashbench.plugins.bibliography import references
from support.plugins_page import PAGE, TITLES, page, shipped


def test_the_page_is_as_the_registry_says() -> None:
    assert PAGE.read_text() == page(), "write it anew: python tests/support/plugins_page.py"


@pytest.mark.parametrize("kind", list(Kind))
def test_every_plugin_that_ships_has_a_line_under_its_kind(kind: Kind) -> None:
    section = PAGE.read_text().partition(f"\n## {TITLES[kind]}\n")[2].partition("\n## ")[0]
    known = [plugins.registry(kind).find(kind, name) for name in plugins.names(kind)]
    cards = {
        entry.plugin.card.name: entry.plugin.card
        for entry in known
        if entry.plugin.__module__.startswith("hashbench.")
    }
    assert re.findall(r"^\| `([\w-]+)` \|", section, re.MULTILINE) == sorted(cards)
    lines = re.findall(r"^\| `.*$", section, re.MULTILINE)
    for line in lines:
        card = cards[line.split("`")[1]]
        assert f"| {card.summary} |" in line
        for source in references(kind, card.name):
            assert (f"[{source.key}]({source.url})" if source.url else source.key) in line
        assert all(f"`{preset}`" in line for preset in card.presets)
    assert [card.name for card in shipped(kind)] == sorted(cards)
