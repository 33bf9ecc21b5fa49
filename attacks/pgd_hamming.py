"""Center-targeted projected gradient descent, the field's yardstick attack."""

from __future__ import annotations

from dataclasses import dataclass

from typing_extensions import override

from hashbench.attacking import Goal, OutputLoss, QueryRandom, SignDescent
from hashbench.plugins import Draws, Norm, attack


@attack(
    "pgd-hamming",
    cite="Wang et al., CgAT, WWW 2023",
    presets={"inner": {"steps": 7, "step_size": 2 / 255}},
    draws=Draws.EXPECTED_LOSS,
    norms=(Norm.LINF, Norm.L2),
)
@dataclass(frozen=True)
class PGDHamming(SignDescent):
    """Push the query's code away from its center code by projected gradient descent.

    Minimises `mean_k(u_k * c_k)`, c the center code from the training codes of the attacked model
    (CgAT, `hash_adv`; Madry et al., ICLR 2018, for the descent). The published attack on a trained
    model has no released script; CgAT's inner attack uses 7 steps of 2/255 at eps 8/255 (preset
    `inner`), SAAT's evaluation 100 steps of 1/255 with the alpha schedule.
    """

    @override
    def loss(self, goal: Goal, rng: QueryRandom) -> OutputLoss:
        centers = goal.center_codes
        return lambda outputs: (outputs * centers).mean(dim=1)
