"""Center-targeted projected gradient descent, the field's yardstick attack."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from hashbench.evaluation import (
    AlphaSchedule,
    AttackedModel,
    Goal,
    QueryRandom,
    SignStep,
    Threat,
    check_descent,
    descend,
)
from hashbench.plugins import Attack, attack


@attack(
    "pgd-hamming",
    cite="Wang et al., CgAT, WWW 2023",
    presets={"inner": {"steps": 7, "step_size": 2 / 255}},
)
@dataclass(frozen=True)
class PGDHamming(Attack):
    """Push the query's code away from its center code by projected gradient descent.

    Minimises `mean_k(u_k * c_k)`, c the center code from the training codes of the attacked model
    (CgAT, `hash_adv`; Madry et al., ICLR 2018, for the descent). The published attack on a trained
    model has no released script; CgAT's inner attack uses 7 steps of 2/255 at eps 8/255 (preset
    `inner`), SAAT's evaluation 100 steps of 1/255 with the alpha schedule.

    Attributes:
        steps: number of updates.
        step_size: change of every pixel in one update, in `[0, 1]`.
        random_start: begin at a uniform point of the ball instead of at the image.
        alpha: scale of the tanh over the steps.
    """

    steps: int = 100
    step_size: float = 1 / 255
    random_start: bool = True
    alpha: AlphaSchedule = AlphaSchedule.CONSTANT

    def __post_init__(self) -> None:
        check_descent(self.steps, step_size=self.step_size)

    def perturb(
        self,
        model: AttackedModel,
        images: Tensor,
        goal: Goal,
        threat: Threat,
        rng: QueryRandom,
    ) -> Tensor:
        """Return perturbed images; see `Attack.perturb`."""
        centers = goal.center_codes

        def agreement(point: Tensor, step: int) -> Tensor:
            outputs = model.outputs(point, self.alpha.at(step, self.steps))
            return (outputs * centers).mean(dim=1)

        start = images
        if self.random_start:
            start = images + rng.uniform(images.shape[1:], -threat.radius, threat.radius)
        return descend(
            agreement,
            images,
            threat,
            steps=self.steps,
            update=SignStep(self.step_size),
            start=start,
        )
