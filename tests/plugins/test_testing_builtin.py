"""Every built-in attack, defense and loss keeps the rules that authors are held to."""

from __future__ import annotations

import pytest

from hashbench import plugins
from hashbench.plugins.parameters import field_types
from hashbench.testing import CheckReport, check_attack, check_defense, check_loss

STEPS = 10
"""What attacks with a parameter `steps` are checked with, for the sake of time."""

SETTINGS: dict[str, dict[str, object]] = {
    # In an L2 ball steps of an eighth of it turn a random start round in a few dozen.
    "mainstay": {"steps": 50},
    "pgd-hamming": {"steps": 50},
    "random-search": {"queries": 150},
    "ranked-search": {"queries": 150},
    "tha": {"training_steps": 30},
    "pros-gan": {"prototype_steps": 60},
}
"""Cheaper ones than the defaults, where a check would take minutes."""

SLOW = {"auto", "pros-gan", "tha", "nag", "universal", "random-search", "ranked-search"}

KNOWN: dict[str, dict[str, str]] = {
    "control-order": {
        "same-seed": "a control: it counts the images that it is asked for",
        "gradient": "a control: without a gradient",
    },
    "control-quantised": {"gradient": "a control: attacked without BPDA"},
    "control-random": {"draws-as-declared": "a control: it does not say that it draws"},
    "greedyhash": {"finite-differences": "straight through the sign: no gradient by design"},
}
"""What built-in plugins break by design, and why."""


def named(kind: str) -> list[object]:
    return [
        pytest.param(name, marks=pytest.mark.slow if name in SLOW else ())
        for name in plugins.names(kind)
        if _is_ours(kind, name)
    ]


def _is_ours(kind: str, name: str) -> bool:
    wanted = plugins.Kind(kind)
    return plugins.registry(wanted).find(wanted, name).origin.source == "hashbench"


def at_ease(name: str) -> plugins.Plugin:
    """An attack with few steps."""
    settings = dict(SETTINGS.get(name, {}))
    kind = plugins.Kind.ATTACK
    if "steps" in field_types(plugins.registry(kind).find(kind, name).plugin):
        settings.setdefault("steps", STEPS)
    return plugins.get("attack", name, **settings)


def hold(report: CheckReport, least: int) -> None:
    """Nothing fails, and not much is skipped."""
    report.raise_failures()
    assert len(report.passed) >= least, report.counts


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize("name", named("attack"))
def test_a_built_in_attack_keeps_the_rules(name: str) -> None:
    found = at_ease(name)
    assert isinstance(found, plugins.Attack)
    hold(check_attack(found, expected_failures=KNOWN.get(name, {})), 28)


@pytest.mark.parametrize("name", named("defense"))
def test_a_built_in_defense_keeps_the_rules(name: str) -> None:
    hold(check_defense(name, expected_failures=KNOWN.get(name, {})), 17)


@pytest.mark.parametrize("name", named("loss"))
def test_a_built_in_loss_keeps_the_rules(name: str) -> None:
    hold(check_loss(name, expected_failures=KNOWN.get(name, {})), 20)


def test_a_failure_that_does_not_come_is_one() -> None:
    report = check_loss("csq", expected_failures={"finite": "not so"})
    assert [outcome.check for outcome in report.failed] == ["finite"]
