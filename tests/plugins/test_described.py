"""What docstrings say of parameters: each class of its own, and a subclass before its base."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import pytest

from hashbench import plugins
from hashbench.plugins import Attack
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
