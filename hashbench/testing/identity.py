"""Checks of every kind of plugin: what it says of itself, and its parameters."""
# ruff: noqa: D103 - the rule of a check says what it does

from __future__ import annotations

import copy
import dataclasses
from typing import Protocol

from hashbench.coercion import coerce
from hashbench.plugins.base import Plugin
from hashbench.plugins.misspelt import unfit_methods
from hashbench.plugins.parameters import Spec, build, canonical, field_types, plain
from hashbench.testing.checking import CLASS, Check, check, require, said, skip_unless


class Stage(Protocol):
    """Has a plugin."""

    @property
    def plugin(self) -> Plugin:
        """What is checked."""


@check("documented", "its docstring opens with a sentence that lists can show", method=CLASS)
def documented(stage: Stage) -> None:
    summary = stage.plugin.card.summary
    # A dataclass without a docstring gets its own signature as one.
    made = f"{type(stage.plugin).__name__}("
    require(
        bool(summary) and not summary.startswith(made),
        "its class has no docstring: write one sentence under its name",
    )


@check("typed-parameters", "every parameter has a type that text can be read as", method=CLASS)
def typed_parameters(stage: Stage) -> None:
    plugin = stage.plugin
    require(
        dataclasses.is_dataclass(type(plugin)) and "__dataclass_fields__" in vars(type(plugin)),
        "its class is no dataclass of its own: write @dataclass(frozen=True) above it",
    )
    for name, kind in field_types(type(plugin)).items():
        value = getattr(plugin, name)
        try:
            found = coerce("none" if value is None else _written(value), kind, f"'{name}'")
        except ValueError as error:
            raise AssertionError(str(error)) from None
        require(
            type(found) is type(value) or found == value,
            f"parameter '{name}' holds {value!r}, which is no {kind}",
        )


@check(
    "frozen-and-hashable",
    "equal parameters make equal plugins, and none can be set later",
    method=CLASS,
)
def frozen_and_hashable(stage: Stage) -> None:
    plugin = stage.plugin
    twin = object.__new__(type(plugin))
    vars(twin).update(vars(plugin))
    require(plugin == twin, "a copy of it is not equal to it")
    try:
        same = hash(plugin) == hash(twin)
    except TypeError as error:
        require(False, f"it has no hash ({error}): write @dataclass(frozen=True)")
    require(same, "equal plugins have different hashes")
    for name in field_types(type(plugin)):
        try:
            setattr(twin, name, getattr(twin, name))
        except dataclasses.FrozenInstanceError:
            continue
        require(False, f"parameter '{name}' can be set: write @dataclass(frozen=True)")


@check("round-trip", "the text that names it builds it again", method=CLASS)
def round_trip(stage: Stage) -> None:
    text = canonical(stage.plugin)
    spec = Spec.parse(text)
    again = build(type(stage.plugin), dict(spec.given), spec.preset)
    require(again == stage.plugin, f"'{text}' builds {again!r}, not {stage.plugin!r}")


@check("presets", "every preset builds, and its text builds it again", method=CLASS)
def presets(stage: Stage) -> None:
    plugin = type(stage.plugin)
    skip_unless(bool(plugin.card.presets), "no presets")
    for name in plugin.card.presets:
        built = build(plugin, {}, name)
        spec = Spec.parse(canonical(built))
        again = build(plugin, dict(spec.given))
        require(again == built, f"preset '{name}': '{spec}' builds {again!r}, not {built!r}")


@check("copyable", "a deep copy of it equals it", method=CLASS)
def copyable(stage: Stage) -> None:
    try:
        again = copy.deepcopy(stage.plugin)
    except Exception as error:  # a plugin's own way to be copied may raise anything
        require(False, f"copying raised {said(error)}")
    require(again == stage.plugin, f"a copy is {again!r}")


@check("signatures", "every method takes the arguments that its contract hands it", method=CLASS)
def signatures(stage: Stage) -> None:
    for sentence in unfit_methods(type(stage.plugin)):
        require(False, sentence)


def _written(value: object) -> object:
    if isinstance(value, bool):
        return str(value).lower()
    return plain(value) if isinstance(value, tuple) else str(plain(value))


IDENTITY: tuple[Check[Stage], ...] = (
    documented,
    typed_parameters,
    frozen_and_hashable,
    round_trip,
    presets,
    copyable,
    signatures,
)
