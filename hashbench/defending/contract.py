"""What the author of a defense implements: a `TrainedDefense` or a `WrappingDefense`."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

from hashbench.defending.setup import Budget, DefenseSetup
from hashbench.hashing.model import HashModel
from hashbench.hashing.objective import Objective
from hashbench.hashing.recipe import Recipe
from hashbench.plugins.base import Plugin


class Defense(Plugin):
    """Makes a base hashing model harder to attack: see its two kinds below."""


class TrainedDefense(Defense):
    """A defense that goes on training the base model.

    The shared trainer runs the loop; the defense gives its recipe and the loss of one batch.

    Attributes:
        certifies: whether it is trained for a certificate: a run that has such a defense then says
            of each of its models what is proven of it, unless the suite says otherwise.
    """

    certifies: ClassVar[bool] = False

    @abstractmethod
    def recipe(self, budget: Budget) -> Recipe:
        """Optimiser, learning rate, schedule and epochs.

        Args:
            budget: what the suite grants to every trained defense alike.
        """

    @abstractmethod
    def objective(self, setup: DefenseSetup) -> Objective:
        """Build the state of one training (memories, auxiliary networks): gives each batch's loss.

        Args:
            setup: the base model (to be trained in place), the training data, the bound hashing
                loss, the budget and a generator.
        """

    def passes(self, budget: Budget) -> int:
        """Forward and backward passes per image and epoch, for the time estimate."""
        return budget.inner_steps + 2


class WrappingDefense(Defense):
    """A defense that changes no weight: it returns another model around the base model."""

    @abstractmethod
    def wrap(self, model: HashModel) -> HashModel:
        """Return the defended model; the base model must stay as it is."""
