"""The models that a suite asks for, described: those of its grid, and those that are given."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import Any

from hashbench.coercion import coerce
from hashbench.data.contract import Dataset
from hashbench.data.protocol import PixelValues
from hashbench.defending.answers import recipe_of
from hashbench.defending.contract import Defense, TrainedDefense
from hashbench.defending.setup import Budget
from hashbench.errors import UsageError
from hashbench.hashing.augment import Augment
from hashbench.hashing.checkpoint import load_checkpoint, read_card
from hashbench.hashing.contract import Backbone, Loss
from hashbench.hashing.recipe import OptimizerName, Recipe
from hashbench.plugins.blame import answer_of
from hashbench.plugins.kinds import Kind
from hashbench.plugins.parameters import canonical
from hashbench.progress import Progress
from hashbench.results.cell import CLEAN, Cell
from hashbench.runner.fingerprint import sha256_of
from hashbench.runner.from_card import given_model, weights_hash
from hashbench.runner.loading import new_model
from hashbench.runner.radii import budget_of
from hashbench.runner.resolve import read_source, resolve
from hashbench.runner.setting import Setting
from hashbench.runner.steps import BaseModel, DefendedModel, GivenModel
from hashbench.runner.suite import GivenModels, Grid, Suite


@dataclass(frozen=True)
class PlannedModel:
    """A model that cells are laid out for.

    Attributes:
        step: makes it, or takes it over.
        clean: the cell of its clean queries.
        training: what reports say of how it was trained; the cell holds its hash.
    """

    step: DefendedModel | GivenModel
    clean: Cell
    training: dict[str, Any]


def given_models(suite: Suite, given: GivenModels, progress: Progress) -> Iterator[PlannedModel]:
    """The models whose folders a suite names.

    Raises:
        UsageError: a folder holds no model that can be evaluated here.
    """
    for folder in given.model:
        found = given_model(folder, suite.root, suite.compute, progress, PixelValues(suite.pixels))
        yield PlannedModel(found.step, found.cell, found.training)


def models_of_grid(suite: Suite, grid: Grid, progress: Progress) -> Iterator[PlannedModel]:
    """Every defense on every base model of a grid.

    Raises:
        UsageError: an unknown plugin, data that are not there, a checkpoint that does not fit,
            a trained defense where nothing says for which radius.
    """
    _check_base(grid)
    losses = [resolve(Kind.LOSS, Loss, spec) for spec in grid.loss]
    backbones = [resolve(Kind.BACKBONE, Backbone, spec) for spec in grid.backbone]
    defenses = [resolve(Kind.DEFENSE, Defense, spec) for spec in grid.defense]
    for spec in grid.dataset:
        dataset = resolve(Kind.DATASET, Dataset, spec)
        budget = budget_of(suite, dataset, defenses)
        if _crops(suite, defenses, budget):
            dataset = answer_of(dataset, "widened", Dataset)
        source = read_source(dataset, suite.root, progress, PixelValues(suite.pixels))
        training = _training(suite, budget)
        for loss, backbone, bits, seed in itertools.product(
            losses, backbones, grid.bits, grid.seed
        ):
            setting = Setting(source, loss, backbone, bits, seed, suite.compute)
            base = _base(setting, suite)
            for defense in defenses:
                cell = Cell(
                    dataset=source.protocol.dataset,
                    loss=canonical(loss),
                    backbone=canonical(backbone),
                    bits=bits,
                    defense=canonical(defense),
                    attack=CLEAN,
                    eps="0",
                    seed=seed,
                    protocol=source.protocol.hash,
                    training=sha256_of(training),
                )
                yield PlannedModel(DefendedModel(base, defense, budget), cell, training)


def _crops(suite: Suite, defenses: list[Defense], budget: Budget) -> bool:
    """Whether any training crops its images at random."""
    kinds = [suite.training.augment]
    for defense in defenses:
        # A plugin whose recipe raises fails its cells with that reason, not the plan.
        with suppress(Exception):
            if isinstance(defense, TrainedDefense):
                kinds.append(recipe_of(defense, budget).augment)
    return Augment.CROP_FLIP in kinds


def _training(suite: Suite, budget: Budget) -> dict[str, Any]:
    """What all cells of a run share besides the grid: shown with every table."""
    base: dict[str, Any] = asdict(suite.training)
    if suite.checkpoint is not None:
        base = {"checkpoint": weights_hash(suite.checkpoint, "checkpoint")}
    return {
        "base": base,
        "budget": {
            "epochs": budget.epochs,
            "inner_steps": budget.inner_steps,
            "eps": budget.eps.canonical,
        },
        "compute": suite.compute.recorded(),
    }


def recipe_of_base(suite: Suite) -> Recipe:
    """How base models are trained."""
    fields = asdict(suite.training)
    fields["optimizer"] = coerce(fields["optimizer"], OptimizerName, "training.optimizer")
    fields["augment"] = coerce(fields["augment"], Augment, "training.augment")
    return Recipe(**fields)


def _base(setting: Setting, suite: Suite) -> BaseModel:
    recipe = recipe_of_base(suite)
    if suite.checkpoint is None:
        return BaseModel(setting, recipe)
    card = read_card(suite.checkpoint)
    wanted = {
        "backbone": canonical(setting.backbone),
        "bits": setting.bits,
        "dataset": setting.source.protocol.dataset,
        "loss": canonical(setting.loss),
    }
    for name, value in wanted.items():
        if getattr(card, name) != value:
            raise UsageError(
                f"checkpoint {suite.checkpoint} is of {name} {getattr(card, name)}, "
                f"but the run asks for {value}: add --{name} {getattr(card, name)}"
            )
    # Where it will be computed there may be no device here: whether weights fit, any tells.
    here = replace(setting, compute=replace(setting.compute, device="cpu"))
    load_checkpoint(suite.checkpoint, new_model(here, bare=True))
    return BaseModel(
        setting, recipe, suite.checkpoint, weights_hash(suite.checkpoint, "checkpoint")
    )


def _check_base(grid: Grid) -> None:
    """Refuse a checkpoint that cannot stand for the base models of a grid."""
    if grid.checkpoint is None:
        return
    card = read_card(grid.checkpoint)
    if card.defense != "none":
        raise UsageError(
            f"checkpoint {grid.checkpoint} is a model defended by {card.defense}, but a base "
            "model is needed: what stands in a table as undefended has to be"
        )
    if len(grid.seed) > 1:
        raise UsageError(
            f"checkpoint {grid.checkpoint} is one model, but the run asks for {len(grid.seed)} "
            "seeds of it: name one --seed"
        )
