"""The functions that an author calls: each runs the checks of one kind of plugin."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, TypeVar

from hashbench import plugins
from hashbench.attacking.contract import Attack
from hashbench.defending.contract import Defense, TrainedDefense, WrappingDefense
from hashbench.errors import UsageError
from hashbench.hashing.contract import Loss
from hashbench.plugins.base import Plugin
from hashbench.plugins.kinds import Kind
from hashbench.plugins.parameters import build, canonical
from hashbench.testing.attack_answers import ANSWERS
from hashbench.testing.attack_declared import DECLARED
from hashbench.testing.attack_draws import DRAWS
from hashbench.testing.attack_models import MODELS
from hashbench.testing.attack_repeats import REPEATS
from hashbench.testing.attack_strength import STRENGTH
from hashbench.testing.attack_training import TRAINING
from hashbench.testing.checking import Check, run_checks
from hashbench.testing.identity import IDENTITY
from hashbench.testing.losses import LOSSES, LossStage
from hashbench.testing.outcome import CheckReport
from hashbench.testing.stage import AttackStage
from hashbench.testing.trained import TRAININGS, TrainedStage
from hashbench.testing.wrapped import WRAPPINGS, WrappedStage

PluginT = TypeVar("PluginT", bound=Plugin)

ATTACK_CHECKS: tuple[Check[Any], ...] = (
    *IDENTITY,
    *ANSWERS,
    *REPEATS,
    *MODELS,
    *DECLARED,
    *DRAWS,
    *TRAINING,
    *STRENGTH,
)

DEFENSE_CHECKS: Mapping[type[Defense], tuple[Check[Any], ...]] = MappingProxyType(
    {WrappingDefense: (*IDENTITY, *WRAPPINGS), TrainedDefense: (*IDENTITY, *TRAININGS)}
)

LOSS_CHECKS: tuple[Check[Any], ...] = (*IDENTITY, *LOSSES)

NONE: Mapping[str, str] = MappingProxyType({})


def check_attack(
    attack: Attack | type[Attack] | str, *, expected_failures: Mapping[str, str] = NONE
) -> CheckReport:
    """Try every rule of an attack; takes a second or so, more for one of many steps.

    Args:
        attack: an instance, a class whose parameters have defaults, or a name with parameters. Its
            parameters are never changed, but that one check takes 0 `steps`.
        expected_failures: why, by the name of a check that is known to fail. One that passes all
            the same is a failure.

    Raises:
        UsageError: there is no such attack or check, or a parameter has no default.
    """
    found = _built(Kind.ATTACK, Attack, attack)
    return _report(Kind.ATTACK, found, AttackStage(found), ATTACK_CHECKS, expected_failures)


def check_defense(
    defense: Defense | type[Defense] | str, *, expected_failures: Mapping[str, str] = NONE
) -> CheckReport:
    """Try every rule of a defense, of those for its kind; arguments as `check_attack`.

    Raises:
        UsageError: as `check_attack`, or it neither trains nor wraps.
    """
    found = _built(Kind.DEFENSE, Defense, defense)
    stage: Any
    if isinstance(found, WrappingDefense):
        stage, checks = WrappedStage(found), DEFENSE_CHECKS[WrappingDefense]
    elif isinstance(found, TrainedDefense):
        stage, checks = TrainedStage(found), DEFENSE_CHECKS[TrainedDefense]
    else:
        raise UsageError(
            f"defense '{found.card.name}' is neither a TrainedDefense nor a WrappingDefense"
        )
    return _report(Kind.DEFENSE, found, stage, checks, expected_failures)


def check_loss(
    loss: Loss | type[Loss] | str, *, expected_failures: Mapping[str, str] = NONE
) -> CheckReport:
    """Try every rule of a hashing loss; arguments and errors as `check_attack`."""
    found = _built(Kind.LOSS, Loss, loss)
    return _report(Kind.LOSS, found, LossStage(found), LOSS_CHECKS, expected_failures)


def check_plugin(plugin: Plugin, *, expected_failures: Mapping[str, str] = NONE) -> CheckReport:
    """Try every rule of an attack, a defense or a loss.

    Raises:
        UsageError: it is of another kind.
    """
    match plugin:
        case Attack():
            return check_attack(plugin, expected_failures=expected_failures)
        case Defense():
            return check_defense(plugin, expected_failures=expected_failures)
        case Loss():
            return check_loss(plugin, expected_failures=expected_failures)
    raise UsageError(
        f"'{plugin.card.name}' is a {plugin.card.kind}: there are checks of attacks, defenses and "
        "losses"
    )


def _built(kind: Kind, base: type[PluginT], given: PluginT | type[PluginT] | str) -> PluginT:
    if isinstance(given, str):
        given_plugin: object = plugins.get(kind, given)
    elif isinstance(given, type):
        if "card" not in vars(given):
            raise UsageError(f"class {given.__name__} has no card: write @{kind}('name') above it")
        if inspect.isabstract(given):
            missing = ", ".join(sorted(given.__abstractmethods__))
            raise UsageError(f"class {given.__name__} does not define {missing}")
        given_plugin = build(given, {})
    else:
        given_plugin = given
    if not isinstance(given_plugin, base):
        raise UsageError(f"expected {kind}, found {given_plugin!r}")
    return given_plugin


def _report(
    kind: Kind,
    plugin: Plugin,
    stage: object,
    checks: tuple[Check[Any], ...],
    expected: Mapping[str, str],
) -> CheckReport:
    return CheckReport(kind, canonical(plugin), run_checks(stage, checks, expected))
