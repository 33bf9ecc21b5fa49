"""What attacks share that descend on a loss of the outputs by equal steps: all but the loss."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from torch import Tensor
from typing_extensions import override

from hashbench.attacking.alpha_schedule import AlphaSchedule
from hashbench.attacking.attacked_model import AttackedModel
from hashbench.attacking.ball import drawn_inside
from hashbench.attacking.contract import Attack
from hashbench.attacking.descent import (
    Direction,
    check_descent,
    descend,
    gradient_of,
    steepest_step,
)
from hashbench.attacking.goal import Goal
from hashbench.attacking.input_diversity import InputDiversity
from hashbench.attacking.randomness import QueryRandom
from hashbench.attacking.step_rules import (
    Momentum,
    ScaledCopies,
    StepRule,
    StepSchedule,
    VarianceTuning,
)
from hashbench.attacking.threat import Threat
from hashbench.eps import Norm
from hashbench.errors import UsageError
from hashbench.plugins.units import PixelSize

OutputLoss = Callable[[Tensor], Tensor]
"""Outputs u (B, K) -> one loss per query (B,), to be minimised."""

USUAL: Final = 8 / 255
"""The radius in L-infinity for which the papers chose their steps."""

_RULES_OF = {
    "momentum": tuple(rule for rule in StepRule if rule.has_momentum),
    "copies": (StepRule.SI_NI,),
    "samples": (StepRule.VMI,),
    "neighbourhood": (StepRule.VMI,),
    "resize_probability": (StepRule.DI,),
    "resize_ratio": (StepRule.DI,),
}
"""Which rules a parameter belongs to."""


@dataclass(frozen=True)
class SignDescent(Attack):
    """Projected descent with sign steps (Madry et al., ICLR 2018) on a loss of the outputs.

    In an L2 ball a step goes straight down the gradient instead of its sign, and is as large a
    share of the radius as `step_size` is of 8/255, for which the papers chose theirs: an eighth of
    it for 1/255. (A size in pixels says nothing of a length, which grows with the image. Madry et
    al.'s robustness library takes 2.5 radii over the number of steps, which from a random start
    does not quite turn round.)

    The defaults of a rule are those of its paper, and `resize_ratio` SAAT's. The papers start at
    the image (`random_start=false`) and take 10 steps; SAAT takes 100, starts at random for PGD
    and DI alone, and samples 5 neighbours for VMI.

    Attributes:
        steps: number of updates.
        step_size: change of every pixel in one update, in `[0, 1]`; in the first one if it decays.
            In L2 its share of 8/255 is that of the radius.
        random_start: begin at a uniform point of the ball instead of at the image.
        alpha: scale of the tanh over the steps.
        rule: what a step takes the sign of, or goes down in L2.
        step_schedule: how the step size changes over the steps.
        momentum: share of the accumulated gradient that is kept (mi, ni, si-ni, vmi).
        copies: images `x / 2^i` per step (si-ni).
        samples: neighbours per step (vmi).
        neighbourhood: how far the neighbours lie, in radii of the ball (vmi).
        resize_probability: how often an image is resized (di).
        resize_ratio: the least share of its side that an image is resized to (di).
    """

    steps: int = 100
    step_size: PixelSize = 1 / 255
    random_start: bool = True
    alpha: AlphaSchedule = AlphaSchedule.CONSTANT
    rule: StepRule = StepRule.BIM
    step_schedule: StepSchedule = StepSchedule.CONSTANT
    momentum: float = 1.0
    copies: int = 5
    samples: int = 20
    neighbourhood: float = 1.5
    resize_probability: float = 0.5
    resize_ratio: float = 0.9

    def __post_init__(self) -> None:
        check_descent(self.steps, step_size=self.step_size)
        # Written so that NaN is refused too.
        if not 0 <= self.momentum < float("inf"):
            raise UsageError(f"momentum must be a number from 0, found {self.momentum}")
        if self.copies < 1:
            raise UsageError(f"copies must be 1 or more, found {self.copies}")
        if self.samples < 0:
            raise UsageError(f"samples must be 0 or more, found {self.samples}")
        if not 0 <= self.neighbourhood < float("inf"):
            raise UsageError(f"neighbourhood must be a number from 0, found {self.neighbourhood}")
        if not 0 <= self.resize_probability <= 1:
            raise UsageError(
                f"resize_probability must be from 0 to 1, found {self.resize_probability}"
            )
        if not 0 < self.resize_ratio <= 1:
            raise UsageError(f"resize_ratio must be above 0, at most 1, found {self.resize_ratio}")
        for name, rules in _RULES_OF.items():
            value = getattr(self, name)
            if self.rule not in rules and value != getattr(type(self), name):
                raise UsageError(
                    f"{name}={value} has no effect with rule={self.rule}: it is for rule="
                    + " or ".join(rules)
                )

    @abstractmethod
    def loss(self, goal: Goal, rng: QueryRandom) -> OutputLoss:
        """What is minimised, given what the attacker knows of these queries.

        Args:
            goal: what he knows.
            rng: for what the loss draws once for each query, before the random start.
        """

    @override
    def perturb(
        self,
        model: AttackedModel,
        images: Tensor,
        goal: Goal,
        threat: Threat,
        rng: QueryRandom,
    ) -> Tensor:
        loss = self.loss(goal, rng)
        start = self._start(images, threat, rng)
        sizes = self._sizes(threat)
        return descend(
            lambda point, step: model.expected_loss(loss, point, self.alpha.at(step, self.steps)),
            images,
            threat,
            steps=self.steps,
            update=steepest_step(threat.norm, sizes),
            direction=self._direction(threat, rng, sizes),
            start=start,
        )

    @override
    def passes(self) -> int:
        """The steps, each as many times as its rule asks for a gradient."""
        each = 1
        if self.rule is StepRule.SI_NI:
            each = self.copies
        elif self.rule is StepRule.VMI and self._samples_around():
            each = 1 + self.samples
        return self.steps * each

    @override
    def reach_of_steps(self, radius: float, images: int) -> float:
        """The sum of its steps' sizes."""
        return self.step_schedule.total(self.step_size, self.steps)

    def _start(self, images: Tensor, threat: Threat, rng: QueryRandom) -> Tensor:
        if not self.random_start:
            return images
        return images + drawn_inside(threat.norm, threat.radius, images.shape[1:], rng)

    def _sizes(self, threat: Threat) -> tuple[float, ...]:
        """Of every step, in the ball's norm."""
        first = self.step_size
        if threat.norm is Norm.L2:
            first = self.step_size / USUAL * threat.radius
        return self.step_schedule.sizes(first, self.steps)

    def _samples_around(self) -> bool:
        return self.samples > 0 and self.neighbourhood > 0

    def _direction(self, threat: Threat, rng: QueryRandom, sizes: tuple[float, ...]) -> Direction:
        norm = threat.norm
        match self.rule:
            case StepRule.MI:
                return Momentum(gradient_of, self.momentum, norm=norm)
            case StepRule.NI:
                return Momentum(gradient_of, self.momentum, sizes, norm=norm)
            case StepRule.SI_NI:
                return Momentum(ScaledCopies(self.copies), self.momentum, sizes, norm=norm)
            case StepRule.VMI if self._samples_around():
                reach = self.neighbourhood * threat.radius
                tuned = VarianceTuning(self.samples, reach, rng, norm=norm)
                return Momentum(tuned, self.momentum, norm=norm)
            case StepRule.VMI:
                return Momentum(gradient_of, self.momentum, norm=norm)
            case StepRule.DI if self.resize_probability > 0:
                return InputDiversity(self.resize_probability, self.resize_ratio, rng)
            case _:
                return gradient_of
