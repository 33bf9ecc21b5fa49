"""The time estimate counts passes as the harness does."""

from __future__ import annotations

from hashbench.runner.estimate import estimate
from hashbench.runner.evaluation_steps import AdversarialCodes
from hashbench.runner.plan import make_plan
from hashbench.runner.suite import compose


def passes(defense: str, attack: str) -> int:
    plan = make_plan(compose(None, {"defense": defense, "attack": attack}))
    found = estimate([step for step in plan.steps if isinstance(step, AdversarialCodes)])
    assert found.measured
    assert found.seconds > 0
    return found.passes


def test_every_draw_of_a_defense_is_a_pass_ahead() -> None:
    attack, queries = "pgd-hamming:steps=3", 500
    assert passes("none", attack) == 3 * queries
    assert passes("bit-depth", attack) == 3 * queries
    assert passes("resize-pad:draws=4", attack) == 4 * 3 * queries
