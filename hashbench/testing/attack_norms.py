"""The rules of an attack in every norm that its card names."""

from __future__ import annotations

from hashbench.attacking.contract import Attack
from hashbench.eps import Norm
from hashbench.testing.attack_answers import ANSWERS
from hashbench.testing.attack_declared import DECLARED
from hashbench.testing.attack_draws import DRAWS
from hashbench.testing.attack_models import MODELS
from hashbench.testing.attack_repeats import REPEATS
from hashbench.testing.attack_strength import STRENGTH
from hashbench.testing.attack_training import TRAINING
from hashbench.testing.checking import Check
from hashbench.testing.radii import norms_of
from hashbench.testing.stage import AttackStage

IN_A_BALL: tuple[Check[AttackStage], ...] = (
    *ANSWERS,
    *REPEATS,
    *MODELS,
    *DECLARED,
    *DRAWS,
    *TRAINING,
    *STRENGTH,
)
"""The rules that say something of one ball, in the order in which they are tried."""


def in_further_norms(attack: Attack) -> tuple[Check[AttackStage], ...]:
    """The same rules once more for each norm of its card but the first: `l2-inside-ball`."""
    _, *further = norms_of(attack)
    return tuple(_inside(norm, one) for norm in further for one in IN_A_BALL)


def _inside(norm: Norm, one: Check[AttackStage]) -> Check[AttackStage]:
    return Check(
        name=f"{norm}-{one.name}",
        rule=f"in {norm}: {one.rule}",
        run=lambda stage: one.run(stage.inside(norm)),
        needs=tuple(f"{norm}-{name}" for name in one.needs),
        method=one.method,
    )
