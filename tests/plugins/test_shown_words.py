"""What is stored as a code is shown in words, every member of it."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from hashbench.cli.listing import _ACCESS, _KNOWLEDGE, print_plugin
from hashbench.plugins.card import Access, Knowledge


def shown(name: str) -> str:
    file = io.StringIO()
    print_plugin(Console(file=file, width=100), name)
    return file.getvalue()


def test_every_code_has_words() -> None:
    assert _ACCESS.keys() == set(Access)
    assert _KNOWLEDGE.keys() == set(Knowledge)


@pytest.mark.parametrize(
    ("attack", "looks_at", "is_told"),
    [
        ("noise", "none", "nothing"),
        ("ranked-search", "ranked lists only", "nothing"),
        ("random-search", "codes only", "labels, training codes"),
        ("pgd-hamming", "gradient", "labels, training codes"),
        ("dhta", "gradient", "targets, training codes"),
    ],
)
def test_show_says_what_an_attack_sees(attack: str, looks_at: str, is_told: str) -> None:
    lines = shown(attack).splitlines()
    assert f"looks at: {looks_at}" in lines
    assert f"is told:  {is_told}" in lines
