"""What is stored as a code is shown in words, every member of it."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from hashbench import plugins
from hashbench.cli.listing import _ACCESS, _DRAWS, _KNOWLEDGE, print_plugin
from hashbench.console import TextConsole
from hashbench.plugins.card import Access, Draws, Knowledge
from hashbench.plugins.registered import Registry


def shown(name: str) -> str:
    file = io.StringIO()
    print_plugin(TextConsole(file=file, width=100), name)
    return file.getvalue()


def test_every_code_has_words() -> None:
    assert _ACCESS.keys() == set(Access)
    assert _KNOWLEDGE.keys() == set(Knowledge)
    assert _DRAWS.keys() == set(Draws)


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


@pytest.mark.parametrize(
    ("attack", "norms"), [("random-search", "linf"), ("smooth-ap", "linf and l2")]
)
def test_show_says_in_which_balls_an_attack_works(attack: str, norms: str) -> None:
    assert f"works in: {norms}" in shown(attack).splitlines()


@pytest.mark.parametrize(
    ("attack", "if_drawn"),
    [
        ("auto", "lowers the mean of its loss over the draws"),
        ("pros-gan", "takes the mean output of the draws"),
        ("random-search", "judges by the mean over the draws"),
    ],
)
def test_show_says_what_an_attack_does_at_a_model_that_draws(attack: str, if_drawn: str) -> None:
    assert f"if drawn: {if_drawn}" in shown(attack).splitlines()


@pytest.mark.parametrize("attack", ["noise", "transfer", "nag"])
def test_an_attack_that_never_asks_the_model_says_nothing_of_draws(attack: str) -> None:
    assert "if drawn" not in shown(attack)


@pytest.mark.parametrize(
    ("attack", "balls"), [("flat", "linf"), ("ball", "l2"), ("both", "linf and l2")]
)
def test_an_attack_says_in_which_balls_it_works(
    fresh_registry: Registry,  # noqa: ARG001
    attack: str,
    balls: str,
) -> None:
    plugins.use_file(Path(__file__).resolve().parents[1] / "support" / "norms.py")
    assert f"works in: {balls}" in shown(attack).splitlines()
    assert "works in" not in shown("csq")
