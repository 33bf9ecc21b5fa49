"""What docstrings say of parameters: each class of its own, and a subclass before its base."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from hashbench import plugins
from hashbench.plugins import Attack, attack
from hashbench.plugins.described import parameter_words, prose
from hashbench.plugins.kinds import Kind
from hashbench.plugins.parameters import field_types


class Base(Attack):
    """The base.

    Attributes:
        steps: how many.
        low, high: the ends
            of a range.
    """


class Derived(Base):
    """The first line.

    A second paragraph: with a colon.

    Attributes:
        high: the end that counts.
        own: only here.
    """


class Silent(Derived):
    """Says nothing of its parameters."""


def test_words_are_collected_over_the_classes() -> None:
    wanted = {
        "steps": "how many.",
        "low": "the ends of a range.",
        "high": "the end that counts.",
        "own": "only here.",
    }
    assert parameter_words(Derived) == wanted
    assert parameter_words(Silent) == wanted
    assert parameter_words(Base)["high"] == "the ends of a range."


def test_prose_is_the_rest() -> None:
    assert prose(Derived) == "The first line.\n\nA second paragraph: with a colon."
    assert prose(Silent) == "Says nothing of its parameters."


def test_a_class_without_a_docstring_has_no_words() -> None:
    @dataclass(frozen=True)
    class Bare(Attack):
        steps: int = 1

    Bare.__doc__ = None
    assert prose(Bare) == ""
    assert parameter_words(Bare) == {}


@pytest.mark.parametrize("kind", [Kind.ATTACK, Kind.DEFENSE, Kind.LOSS, Kind.BACKBONE])
def test_every_parameter_that_ships_is_described(kind: Kind) -> None:
    for name in plugins.names(kind):
        plugin = plugins.registry(kind).find(kind, name).plugin
        assert dataclasses.is_dataclass(plugin)
        assert set(field_types(plugin)) <= set(parameter_words(plugin)), name


def test_a_signature_is_no_description() -> None:
    """Python makes one for a dataclass without a docstring, and strips docstrings at level 2."""

    @attack("wordless")
    @dataclass(frozen=True)
    class Wordless(Attack):
        steps: int = 3

    assert Wordless.__doc__ == "Wordless(steps: 'int' = 3)"
    assert Wordless.card.summary == ""
    assert prose(Wordless) == ""
    assert parameter_words(Wordless) == {}


@pytest.mark.parametrize("words", [["plugins"], ["show", "hag"], ["show", "pgd-hamming"]])
def test_without_docstrings_there_is_no_description(words: list[str], tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "hashbench", *words],
        env={**os.environ, "PYTHONOPTIMIZE": "2", "COLUMNS": "200"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert ("no description" in done.stdout) == (words[0] == "show")  # a list is read from sources
    assert "(steps: " not in done.stdout
    assert "(steps: 'int'" not in done.stdout
