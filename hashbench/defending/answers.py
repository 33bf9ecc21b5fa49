"""What defenses return, held against their contract: the one way to call them."""

from __future__ import annotations

from hashbench.defending.contract import TrainedDefense, WrappingDefense
from hashbench.defending.setup import Budget, DefenseSetup
from hashbench.hashing.model import HashModel
from hashbench.hashing.objective import Objective
from hashbench.hashing.recipe import Recipe
from hashbench.plugins.blame import expected


def recipe_of(defense: TrainedDefense, budget: Budget) -> Recipe:
    """How a defense is trained; raises what its own code raises.

    Raises:
        PluginError: what it returned is no `Recipe`.
    """
    remedy = "return hashbench.hashing.Recipe(epochs=budget.epochs)"
    return expected(defense, "recipe", defense.recipe(budget), Recipe, remedy)


def objective_of(defense: TrainedDefense, setup: DefenseSetup) -> Objective:
    """What a defense minimises; raises what its own code raises.

    Raises:
        PluginError: what it returned is no `Objective`.
    """
    return expected(
        defense,
        "objective",
        defense.objective(setup),
        Objective,
        "write a class (hashbench.hashing.Objective) with loss(self, batch), and return an object "
        "of it",
    )


def wrapped(defense: WrappingDefense, model: HashModel) -> HashModel:
    """The model that a defense makes of another one; raises what its own code raises.

    Raises:
        PluginError: what it returned is no `HashModel`.
    """
    return expected(
        defense,
        "wrap",
        defense.wrap(model),
        HashModel,
        "write a class (hashbench.defending.WrappedModel) with logits(self, images), and return "
        "an object of it",
    )
