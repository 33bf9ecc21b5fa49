"""Checks of defenses that train, and the stage that they are tried on."""
# ruff: noqa: D103 - the rule of a check says what it does

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from typing_extensions import override

from hashbench.data.images import ImageSet
from hashbench.defending.contract import TrainedDefense
from hashbench.defending.setup import Budget, DefenseSetup
from hashbench.eps import Eps
from hashbench.hashing.encode import as_images, outputs_of
from hashbench.hashing.model import HashModel
from hashbench.hashing.objective import Batch, BoundLoss, Objective
from hashbench.hashing.recipe import Recipe
from hashbench.hashing.similarity import relevant
from hashbench.plugins.blame import came
from hashbench.testing.checking import Check, check, require
from hashbench.testing.surroundings import own_random_state
from hashbench.testing.world import CLASSES, Bystander, plain_copy, world

BUDGET = Budget(epochs=3, inner_steps=2, eps=Eps.parse("8/255"))
BATCH = 16


class PairLoss(BoundLoss):
    """A hashing loss without a memory: the outputs' similarities against relevance."""

    @override
    def forward(self, outputs: Tensor, labels: Tensor, index: Tensor) -> Tensor:
        similarity = outputs @ outputs.T / outputs.shape[1]
        return (similarity - 2 * relevant(labels, labels) + 1).square().mean()


class CountingModel(HashModel):
    """Counts the images that go forward."""

    forwards = 0

    @override
    def logits(self, images: Tensor) -> Tensor:
        if isinstance(images, Tensor):  # not while its code is followed, by torch.fx
            self.forwards += len(images)
        return super().logits(images)


@dataclass(frozen=True)
class Lesson:
    """One training that has begun.

    Attributes:
        model: trained in place.
        setup: what the defense was given.
        objective: what it made of it.
        train: the images.
    """

    model: CountingModel
    setup: DefenseSetup
    objective: Objective
    train: ImageSet

    def batch(self, start: int = 0, size: int = BATCH, progress: float = 0.0) -> Batch:
        """Some of the images, in order, at a time of the training."""
        index = torch.arange(start, min(start + size, len(self.train)))
        images = as_images(self.train.images[index.numpy()], torch.device("cpu"))
        return Batch(images, self.setup.labels[index].clone(), index, progress)


class TrainedStage:
    """Begins trainings with one defense."""

    def __init__(self, defense: TrainedDefense) -> None:
        """Take a defense, which is never changed."""
        self.plugin = defense
        self.blamed: tuple[object, str] = (defense, "objective")
        self.bystander = Bystander()

    def begin(self, train: ImageSet | None = None, budget: Budget = BUDGET) -> Lesson:
        """Begin a training of a copy of the small model."""
        found = world()
        train = found.train if train is None else train
        model = plain_copy(found.model, CountingModel)
        labels = torch.from_numpy(train.labels).float()
        setup = DefenseSetup(
            model=model,
            loss=PairLoss(),
            outputs=outputs_of(model, train.images),
            labels=labels,
            database_labels=torch.from_numpy(found.database.labels).float(),
            budget=budget,
            generator=torch.Generator().manual_seed(0),
            images=train.images,
        )
        model.forwards = 0
        model.train()
        objective = self.plugin.objective(setup)
        if isinstance(objective, Objective):
            self.blamed = (objective, "loss")
        return Lesson(model, setup, objective, train)

    @cached_property
    def usual(self) -> tuple[Lesson, Batch, Tensor]:
        """One loss of an ordinary batch, and its gradient taken."""
        with own_random_state():
            lesson = self.begin()
            batch = lesson.batch()
            value = lesson.objective.loss(batch)
            if isinstance(value, Tensor) and value.requires_grad and value.ndim == 0:
                value.backward()
        return lesson, batch, value

    def weights_after(self, steps: int, seed: int = 0) -> dict[str, Tensor]:
        """The model's state after some steps with the defense's optimiser.

        Args:
            steps: their number.
            seed: of the process-wide generators.
        """
        with own_random_state(seed):
            lesson = self.begin()
            recipe = self.plugin.recipe(BUDGET)
            parameters = [*lesson.model.parameters(), *lesson.objective.parameters()]
            optimizer = recipe.build_optimizer(parameters)
            for step in range(steps):
                loss = lesson.objective.loss(lesson.batch(step * BATCH, progress=step / steps))
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        return lesson.model.state_dict()

    def finite_on(self, what: str, train: ImageSet, size: int = BATCH) -> None:
        """One loss on other images must be finite."""
        with own_random_state():
            lesson = self.begin(train)
            value = float(lesson.objective.loss(lesson.batch(size=size)).detach())
        require(math.isfinite(value), f"{what}, its loss is {value}")


@check("recipe", "recipe() returns a Recipe", method="recipe")
def recipe(stage: TrainedStage) -> None:
    found = stage.plugin.recipe(BUDGET)
    require(
        isinstance(found, Recipe),
        f"recipe() returned {came(found)}, not a Recipe: return "
        "hashbench.hashing.Recipe(epochs=budget.epochs)",
    )


@check(
    "epochs-of-the-budget",
    "it trains as many epochs as the suite grants, or as its parameter says",
    needs=["recipe"],
)
def epochs_of_the_budget(stage: TrainedStage) -> None:
    own = getattr(stage.plugin, "epochs", None)
    for epochs in (3, 5):
        found = stage.plugin.recipe(Budget(epochs, BUDGET.inner_steps, BUDGET.eps)).epochs
        wanted = epochs if own is None else own
        require(
            found == wanted,
            f"with {epochs} epochs granted it trains {found}: take budget.epochs, so that no "
            "defense wins by training longer",
        )


@check("objective", "objective() returns an Objective", method="objective")
def objective(stage: TrainedStage) -> None:
    with own_random_state():
        found: object = stage.begin().objective
    require(
        isinstance(found, Objective),
        f"objective() returned {came(found)}, not an Objective: write a class "
        "(hashbench.hashing.Objective) with loss(self, batch)",
    )


@check("answers", "it gives the loss of an ordinary batch", needs=["objective"])
def answers(stage: TrainedStage) -> None:
    stage.usual  # noqa: B018 - raises what the defense raises


@check("scalar", "the loss is a tensor of one number", needs=["answers"])
def scalar(stage: TrainedStage) -> None:
    value = stage.usual[2]
    require(isinstance(value, Tensor), f"the loss is {type(value).__name__}, not a tensor")
    require(value.ndim == 0, f"the loss has shape {tuple(value.shape)}, expected one number")


@check("finite", "the loss is neither NaN nor infinite", needs=["scalar"])
def finite(stage: TrainedStage) -> None:
    value = float(stage.usual[2].detach())
    require(math.isfinite(value), f"the loss is {value}")


@check("gradient", "the loss has a finite gradient by the model's weights", needs=["scalar"])
def gradient(stage: TrainedStage) -> None:
    model = stage.usual[0].model
    found = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    require(bool(found), "no gradient of the loss reaches the model's weights")
    require(
        all(bool(torch.isfinite(one).all()) for one in found),
        "the gradient by the model's weights holds NaN or infinity",
    )
    require(any(bool(one.any()) for one in found), "the gradient by the model's weights is 0")


@check("moves-weights", "two steps change the model's weights", needs=["gradient", "recipe"])
def moves_weights(stage: TrainedStage) -> None:
    before, after = stage.weights_after(0), stage.weights_after(2)
    require(
        any(not torch.equal(value, before[name]) for name, value in after.items()),
        "two steps change no weight",
    )


@check("repeats", "the same generator gives the same weights, bit for bit", needs=["moves-weights"])
def repeats(stage: TrainedStage) -> None:
    one, two = stage.weights_after(2), stage.weights_after(2)
    for name, value in one.items():
        require(
            torch.equal(value, two[name]),
            f"a second training from the same generator gives another '{name}'",
        )


@check("leaves-global-rng-alone", "all that it draws comes from setup.generator", needs=["repeats"])
def leaves_global_rng_alone(stage: TrainedStage) -> None:
    # A layer draws as it is made, even if its weights are set later: what counts is the outcome.
    one, two = stage.weights_after(2), stage.weights_after(2, seed=1)
    require(
        all(torch.equal(value, two[name]) for name, value in one.items()),
        "its weights depend on a process-wide generator: draw from setup.generator",
    )


@check("keeps-training-mode", "the model is in training mode after each loss", needs=["answers"])
def keeps_training_mode(stage: TrainedStage) -> None:
    model = stage.usual[0].model
    require(
        all(module.training for module in model.modules())
        and all(parameter.requires_grad for parameter in model.parameters()),
        "a loss leaves the model in eval mode, or parameters frozen: all later steps would be so",
    )


@check("leaves-arguments-alone", "batch and labels are not changed in place", needs=["answers"])
def leaves_arguments_alone(stage: TrainedStage) -> None:
    lesson, batch, _ = stage.usual
    fresh = stage.begin()
    wanted = {**_tensors(fresh.batch()), "setup.labels": fresh.setup.labels}
    found = {**_tensors(batch), "setup.labels": lesson.setup.labels}
    wanted["setup.database_labels"] = fresh.setup.database_labels
    found["setup.database_labels"] = lesson.setup.database_labels
    changed = [name for name, value in wanted.items() if not torch.equal(found[name], value)]
    require(not changed, f"it changes {', '.join(changed)} in place")


def _tensors(batch: Batch) -> dict[str, Tensor]:
    return {"images": batch.images, "labels": batch.labels, "index": batch.index}


@check(
    "leaves-other-models-alone",
    "it leaves nothing behind that another model's codes depend on",
    needs=["answers"],
)
def leaves_other_models_alone(stage: TrainedStage) -> None:
    stage.usual  # noqa: B018 - begun, and asked for a loss
    require(
        not stage.bystander.changed(),
        "after a step of its training, a model that it was not given answers otherwise: leave no "
        "hook, and patch no class",
    )


@check("own-parameters", "objective.parameters() are not the model's own", needs=["answers"])
def own_parameters(stage: TrainedStage) -> None:
    lesson = stage.usual[0]
    models = {id(parameter) for parameter in lesson.model.parameters()}
    require(
        not any(id(parameter) in models for parameter in lesson.objective.parameters()),
        "objective.parameters() hands out the model's own, which the trainer has already",
    )


@check("batch-of-one", "the last batch may hold one image", needs=["finite"])
def batch_of_one(stage: TrainedStage) -> None:
    stage.finite_on("on a batch of one", world().train, size=1)


@check("small-train-set", "a train set may be smaller than a batch", needs=["finite"])
def small_train_set(stage: TrainedStage) -> None:
    train = world().train
    stage.finite_on("with 3 training images", ImageSet(train.images[:3], train.labels[:3]))


@check("single-label", "images may have one label each", needs=["finite"])
def single_label(stage: TrainedStage) -> None:
    train = world().train
    labels = torch.eye(CLASSES, dtype=torch.uint8)[torch.arange(len(train)) % CLASSES]
    stage.finite_on("with one label each", ImageSet(train.images, labels.numpy()))


@check("without-a-label", "an image may have no label", needs=["finite"])
def without_a_label(stage: TrainedStage) -> None:
    train = world().train
    labels = train.labels.copy()
    labels[:4] = 0
    stage.finite_on("where images have no label", ImageSet(train.images, labels))


@check("empty-budget", "0 inner steps at radius 0 are a budget too", needs=["finite"])
def empty_budget(stage: TrainedStage) -> None:
    with own_random_state():
        lesson = stage.begin(budget=Budget(0, 0, Eps.parse("0")))
        value = float(lesson.objective.loss(lesson.batch()).detach())
    require(math.isfinite(value), f"with an empty budget its loss is {value}")


@check(
    "pass-count",
    "a step makes no more forward passes per image than passes() says, and 2 more",
    needs=["answers"],
)
def pass_count(stage: TrainedStage) -> None:
    passes = stage.plugin.passes(BUDGET)
    require(
        isinstance(passes, int) and passes >= 0,
        f"passes() returned {passes!r}, expected a whole number from 0",
    )
    made = stage.usual[0].model.forwards / BATCH
    require(
        made <= passes + SPARE,
        f"passes() says {passes} for each image, but a step makes {made:g} forward passes",
    )


SPARE = 2
"""Passes without a gradient, such as one for codes, which cost less, are not counted."""

TRAININGS: tuple[Check[TrainedStage], ...] = (
    recipe,
    epochs_of_the_budget,
    objective,
    answers,
    scalar,
    finite,
    gradient,
    moves_weights,
    repeats,
    leaves_global_rng_alone,
    keeps_training_mode,
    leaves_arguments_alone,
    leaves_other_models_alone,
    own_parameters,
    batch_of_one,
    small_train_set,
    single_label,
    without_a_label,
    empty_budget,
    pass_count,
)
