"""A trained defense: images with random noise. It knows hashbench's public API only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from hashbench import UsageError
from hashbench.attacking import Threat
from hashbench.defending import Budget, DefenseSetup
from hashbench.hashing import Batch, Kept, Objective, Recipe
from hashbench.plugins import TrainedDefense, defense


@defense(
    "noise-training",
    cite="Zantedeschi et al., Efficient Defenses Against Adversarial Attacks, AISec 2017",
)
@dataclass(frozen=True)
class NoiseTraining(TrainedDefense):
    """Go on training the base model on its images with random noise: cheap, and weak.

    Per batch: `loss(u(x)) + weight * loss(u(x'))`, `x'` the images plus uniform noise from the ball
    that the model will be attacked in, cut to `[0, 1]`; the loss is the base model's own.

    Attributes:
        weight: factor of the noisy images' loss, 0 or more.
        learning_rate: of SGD with momentum 0.9.
        epochs: passes over the train set; `none` takes what the suite grants to every defense.
    """

    weight: float = 1.0
    learning_rate: float = 0.01
    epochs: int | None = None

    def __post_init__(self) -> None:
        if self.weight < 0:
            raise UsageError(f"weight must be 0 or more, found {self.weight}")

    def recipe(self, budget: Budget) -> Recipe:
        """Plain SGD; hashbench's trainer runs the loop."""
        epochs = budget.epochs if self.epochs is None else self.epochs
        return Recipe(epochs=epochs, learning_rate=self.learning_rate)

    def objective(self, setup: DefenseSetup) -> Objective:
        """The state of one training: here no more than what it was given."""
        return NoisyImages(setup, self.weight)

    def passes(self, budget: Budget) -> int:  # noqa: ARG002 - the same whatever is granted
        """One pass for the clean and one for the noisy image, for the time estimate."""
        return 2


class NoisyImages(Objective):
    """One training at work."""

    def __init__(self, setup: DefenseSetup, weight: float) -> None:
        self._model = setup.model
        self._hashing_loss = setup.loss
        self._threat = Threat(setup.budget.eps)
        self._generator = setup.generator
        self._weight = weight

    def loss(self, batch: Batch) -> Tensor:
        """The scalar that the trainer minimises."""
        clean: Tensor = self._hashing_loss(
            self._model.outputs(batch.images), batch.labels, batch.index
        )
        noisy: Tensor = self._hashing_loss(
            self._model.outputs(self._with_noise(batch.images)), batch.labels, batch.index
        )
        return clean + self._weight * noisy

    def keeps(self) -> Mapping[str, Kept]:
        """What changes while it trains, so that an interrupted training can go on."""
        return {"loss": self._hashing_loss, "generator": self._generator}

    def _with_noise(self, images: Tensor) -> Tensor:
        # From the given generator, on the CPU: the same numbers in every run, on every device.
        unit = torch.rand(images.shape, generator=self._generator).to(images.device)
        return self._threat.project(images + self._threat.radius * (2 * unit - 1), images)
