"""Certified training: bounds of all images of a ball, not attacks, are what the model learns on."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

import numpy as np
from torch import Tensor
from typing_extensions import override

from hashbench.defending import (
    BoxLoss,
    BoxSchedule,
    BoxTraining,
    Budget,
    DefenseSetup,
    Start,
    mean_codes,
    refuse_unbounded,
    start_afresh,
)
from hashbench.eps import Eps, Norm
from hashbench.errors import UsageError
from hashbench.hashing import (
    Augment,
    Objective,
    OptimizerName,
    RateShape,
    Recipe,
    similarity_codes,
)
from hashbench.plugins import TrainedDefense, defense


class Codes(StrEnum):
    """Where the classes' codes come from."""

    LOSS = "loss"
    """From the hashing loss; of one that has none, similarity codes."""

    SIMILARITY = "similarity"
    """From the train images: near to each other where the classes look alike."""

    MEANS = "means"
    """From the base model: the signs of each class's mean output."""


@defense(
    "certified",
    cite="Gowal et al., IBP, 2018; Shi et al., NeurIPS 2021",
    presets={
        "quick": {"epochs": 40, "codes": "similarity"},
        "full": {"epochs": 600, "augment": "flip-shift", "codes": "similarity"},
    },
)
@dataclass(frozen=True)
class Certified(TrainedDefense):
    """Training on interval bounds: what it gives can be proven, not only attacked in vain.

    Interval bound propagation (Gowal et al. 2018) takes a whole ball of images through the network,
    as a least and a largest value of each unit. The loss of a batch is `kappa L(z, z) + (1 - kappa)
    L(lo, hi)`: z are the clean logits, lo and hi the bounds over the ball of radius `over * eps`,
    and L pulls every bit of the box to the class's code and keeps the lead of every other class's
    code small, in the joint worst case of all bits (`hashbench.defending.BoxLoss`). Radius and
    1 - kappa grow together, from `begin` to `end` of the steps; the learning rate warms up, and
    falls in a line (short trainings with warm-up: Shi et al. 2021, whose initialisation gained
    nothing here). Images of several labels have the mean of their classes' codes.

    It trains from scratch: the base model's weights, which no bound held in check, are no help (on
    `fashion` at 24/255, seed 0, preset `quick`: 57.7 % certified mAP from scratch, 54.8 with
    `start=base`, which keeps them, for pretrained networks). Batch norms stay as they start,
    without effect, for statistics of batches cannot be proven. Max pooling, strided convolutions
    and ReLU are kind to bounds; deep networks are not. A network with a layer that has no bounds is
    refused.

    It trains for the epochs of the budget, as every defense. Preset `quick` has 40 epochs, `full`
    600 with flips and shifts by a pixel: below a hundred epochs augmentation costs more than it
    brings. The backbone `plain-cnn` is made for it. The suite's `inner_steps` mean nothing here: no
    attack is made.

    Attributes:
        epochs: passes over the train set; `none` takes the suite's budget.
        eps: radius of the ball; `none` takes the suite's budget.
        batch: images per step.
        learning_rate: the largest one, of Adam.
        clip_norm: the gradient's greatest length.
        mix: weight of the classes' term beside the bits', from 0 to 1.
        scale: of the scores in the classes' cross entropy.
        over: the radius that is trained for, as a multiple of `eps`.
        begin: share of the steps before the radius grows from 0.
        end: share of the steps at which it is whole.
        kappa: weight of the clean images from then on, from 0 to 1.
        augment: what is done at random to each image.
        start: which weights it begins with.
        codes: where the classes' codes come from.
    """

    certifies: ClassVar[bool] = True

    epochs: int | None = None
    eps: Eps | None = None
    batch: int = 64
    learning_rate: float = 4e-3
    clip_norm: float = 8.0
    mix: float = 0.85
    scale: float = 0.3
    over: float = 1.05
    begin: float = 0.05
    end: float = 0.5
    kappa: float = 0.0
    augment: Augment = Augment.NONE
    start: Start = Start.SCRATCH
    codes: Codes = Codes.LOSS

    def __post_init__(self) -> None:
        if self.epochs is not None and self.epochs < 0:
            raise UsageError(f"epochs must be 0 or more, found {self.epochs}")
        if self.eps is not None and self.eps.norm is not Norm.LINF:
            raise UsageError(
                f"eps is {self.eps}, but boxes are trained around balls of linf: write 8/255"
            )
        if self.batch < 1:
            raise UsageError(f"batch must be 1 or more, found {self.batch}")
        for name in ("learning_rate", "clip_norm", "scale", "over"):
            if not 0 < getattr(self, name) < float("inf"):
                raise UsageError(f"{name} must be above 0, found {getattr(self, name)}")
        for name in ("mix", "kappa"):
            if not 0 <= getattr(self, name) <= 1:
                raise UsageError(f"{name} must lie from 0 to 1, found {getattr(self, name)}")
        if not 0 <= self.begin < self.end <= 1:
            raise UsageError(
                "begin and end are shares of the steps, 0 <= begin < end <= 1, found "
                f"{self.begin} and {self.end}"
            )

    @override
    def recipe(self, budget: Budget) -> Recipe:
        """Adam with a warm-up and a linear decay, gradients cut, no weight decay."""
        return Recipe(
            epochs=budget.epochs if self.epochs is None else self.epochs,
            batch=self.batch,
            optimizer=OptimizerName.ADAM,
            learning_rate=self.learning_rate,
            momentum=0.9,
            weight_decay=0.0,
            augment=self.augment,
            rate_shape=RateShape.WARM_UP_LINEAR,
            clip_norm=self.clip_norm,
        )

    @override
    def objective(self, setup: DefenseSetup) -> Objective:
        """Choose the codes, and start the model afresh.

        Raises:
            UncertifiableError: a layer of the model has no bounds; names it.
            UsageError: the codes need train images, and there are none.
        """
        refuse_unbounded(setup.model, setup)
        codes = self._class_codes(setup)
        if self.start is Start.SCRATCH:
            start_afresh(setup.model, setup.generator)
        radius = float(setup.budget.eps if self.eps is None else self.eps)
        return BoxTraining(
            setup.model,
            BoxLoss(codes.to(setup.outputs), self.mix, self.scale),
            BoxSchedule(self.begin, self.end, self.kappa),
            self.over * radius,
        )

    @override
    def passes(self, budget: Budget) -> int:
        """One of the clean images, two of the box: its middle and its width."""
        return 3

    def _class_codes(self, setup: DefenseSetup) -> Tensor:
        if self.codes is Codes.MEANS:
            return mean_codes(setup.outputs, setup.labels)
        own = setup.loss.class_codes() if self.codes is Codes.LOSS else None
        if own is not None:
            return own
        if setup.images is None:
            raise UsageError(
                "the classes' codes are made from the train images, which were not handed over: "
                "give DefenseSetup its images, or take codes=means"
            )
        labels = setup.labels.cpu().numpy().astype(np.uint8)
        return similarity_codes(setup.images, labels, setup.model.bits, setup.generator)
