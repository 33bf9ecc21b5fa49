"""Attacks on a model that gives no gradient: which of them can attack it at all."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from hashbench import plugins
from hashbench.attacking.contract import Attack
from hashbench.errors import UsageError
from hashbench.plugins.base import Plugin
from hashbench.plugins.card import Access, Aim
from hashbench.plugins.catalog import own_plugins
from hashbench.plugins.kinds import Kind
from hashbench.plugins.parameters import Spec, canonical
from hashbench.runner.resolve import resolve
from hashbench.runner.steps import DefendedModel, GivenModel
from hashbench.runner.suite import Suite, quick


def attacks_on(
    model: DefendedModel | GivenModel, attacks: Sequence[Attack], suite: Suite
) -> Sequence[Attack]:
    """The attacks of a suite, for one of its models.

    A model that gives no gradient, in a suite that asks for the quick suite's attacks, meets all of
    hashbench's own untargeted ones that need none in their place.

    Args:
        model: to be attacked.
        attacks: of the suite.
        suite: what was asked for.

    Raises:
        UsageError: the model gives no gradient, and an attack that was asked for needs one.
    """
    if not isinstance(model, GivenModel) or model.program is None or model.program.differentiable:
        return attacks
    if suite.attack == quick().attack:
        return _usual()
    refuse_followers(
        attacks,
        f"and model {model.folder} gives none",
        ". Without --attack, the untargeted ones of them are run",
    )
    return attacks


def refuse_followers(attacks: Iterable[Attack], why: str, remedy: str = "") -> None:
    """Refuse attacks that follow gradients.

    Args:
        attacks: on a model that gives none.
        why: a clause that says so.
        remedy: what is said at the end.

    Raises:
        UsageError: there is one; the sentence names those that need none.
    """
    following = [canonical(attack) for attack in attacks if not _needs_no_gradient(attack)]
    if following:
        raise UsageError(
            f"{', '.join(following)} follow{'s' * (len(following) == 1)} gradients, {why}; attacks "
            f"that need none: {', '.join(_able())}{remedy}"
        )


def _needs_no_gradient(attack: Plugin | type[Plugin]) -> bool:
    """Whether an attack never asks for what has a gradient, as its card says."""
    return attack.card.access is not Access.GRADIENT


def _usual() -> list[Attack]:
    own = [resolve(Kind.ATTACK, Attack, Spec(listed.name)) for listed in own_plugins(Kind.ATTACK)]
    return [
        attack for attack in own if _needs_no_gradient(attack) and attack.aim() is Aim.UNTARGETED
    ]


def _able() -> list[str]:
    registry = plugins.registry(Kind.ATTACK)
    found = ((name, registry.find(Kind.ATTACK, name)) for name in plugins.names(Kind.ATTACK))
    return [name for name, entry in found if _needs_no_gradient(entry.plugin)]
