"""Makes base models and defended ones: weights, card, and the log of a training."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import torch

from hashbench.data.images import Pixels, RetrievalData
from hashbench.defending.answers import objective_of, recipe_of
from hashbench.defending.contract import TrainedDefense, WrappingDefense
from hashbench.defending.setup import DefenseSetup
from hashbench.errors import UsageError
from hashbench.hashing.answers import bound
from hashbench.hashing.augment import augmented
from hashbench.hashing.checkpoint import (
    CARD,
    WEIGHTS,
    ModelCard,
    card_bytes,
    load_checkpoint,
    weight_bytes,
)
from hashbench.hashing.divided import divided
from hashbench.hashing.encode import outputs_of
from hashbench.hashing.objective import BoundLoss
from hashbench.hashing.recipe import Recipe
from hashbench.hashing.resuming import FirstReads, Unfinished
from hashbench.hashing.setup import LossSetup
from hashbench.hashing.together import ALONE, Processes, processes_at_work
from hashbench.hashing.trainer import PlainObjective, random_orders, train
from hashbench.plugins.parameters import canonical
from hashbench.progress import Progress
from hashbench.results.artifacts import LOG
from hashbench.results.store import Store
from hashbench.results.unfinished import UnfinishedTraining
from hashbench.runner.determinism import environment
from hashbench.runner.fingerprint import sha256_of
from hashbench.runner.loading import cell_seed, data_of, new_model, stored_weights
from hashbench.runner.setting import Setting
from hashbench.runner.steps import BaseModel, DefendedModel, Step


def base_model(step: BaseModel, store: Store, progress: Progress) -> Mapping[str, bytes]:
    """Weights and card of a base model, trained or loaded."""
    setting = step.setting
    card = _card(setting, "none", step.recipe.described())
    processes = _processes_of(step)
    # Where another process gives the weights, none are fetched.
    model = new_model(setting, bare=step.checkpoint is not None or not processes.first)
    if step.checkpoint is not None:
        load_checkpoint(step.checkpoint, model)
        return {WEIGHTS: weight_bytes(model), CARD: card_bytes(card)}
    data = data_of(setting)
    loss = _bound_loss(setting, data)
    _refuse_small_batch(step.recipe, processes)
    with divided(model, processes):
        log = train(
            model,
            PlainObjective(model, loss),
            step.recipe,
            _reader(setting, data, step.recipe, "base"),
            data.train.labels,
            random_orders(len(data.train), step.recipe.epochs, cell_seed(setting, "order", "base")),
            progress=progress,
            unfinished=_shared_place(step, store, processes),
        )
    return {
        WEIGHTS: weight_bytes(model),
        CARD: card_bytes(card),
        LOG: (json.dumps(asdict(log)) + "\n").encode(),
    }


def defended_model(step: DefendedModel, store: Store, progress: Progress) -> Mapping[str, bytes]:
    """Card of a defended model, and its weights where the defense trains them."""
    setting, defense = step.setting, step.defense
    if isinstance(defense, WrappingDefense):
        # Nothing is trained: the base model's weights stay where they are.
        return {CARD: card_bytes(_card(setting, canonical(defense), {}))}
    if not isinstance(defense, TrainedDefense):
        raise UsageError(
            f"defense '{defense.card.name}' is neither a TrainedDefense nor a WrappingDefense"
        )
    data = data_of(setting)
    processes = _processes_of(step)
    if processes.first:
        model = stored_weights(step.base, setting, store)
    else:
        model = new_model(setting, bare=True)  # the weights come from the first process
    device = torch.device(setting.compute.device)
    recipe = recipe_of(defense, step.budget)
    _refuse_small_batch(recipe, processes)
    with divided(model, processes):
        objective = objective_of(
            defense,
            DefenseSetup(
                model=model,
                loss=_bound_loss(setting, data),
                outputs=outputs_of(model, data.train.images),
                labels=torch.from_numpy(data.train.labels).float().to(device),
                database_labels=torch.from_numpy(data.database.labels).float().to(device),
                budget=step.budget,
                generator=torch.Generator().manual_seed(
                    cell_seed(setting, "defense", defense.card.name)
                ),
                images=data.train.images,
            ),
        )
        log = train(
            model,
            objective,
            recipe,
            _reader(setting, data, recipe, "defense"),
            data.train.labels,
            random_orders(len(data.train), recipe.epochs, cell_seed(setting, "order", "defense")),
            progress=progress,
            unfinished=_shared_place(step, store, processes),
        )
    card = _card(setting, canonical(defense), recipe.described())
    return {
        WEIGHTS: weight_bytes(model),
        CARD: card_bytes(card),
        LOG: (json.dumps(asdict(log)) + "\n").encode(),
    }


def unfinished_training(step: Step, store: Store) -> UnfinishedTraining:
    """Where the state of a training lies.

    It goes on under the versions and on the kind of machine that it began on: elsewhere its weights
    would be those of neither.
    """
    return UnfinishedTraining(store.folder, step.key, sha256_of([step.key, environment()]))


def _processes_of(step: Step) -> Processes:
    """The processes that train a model.

    Raises:
        UsageError: they are not as many as its key says.
    """
    processes, wanted = processes_at_work(), step.setting.compute.processes
    if isinstance(step, BaseModel) and step.checkpoint is not None:
        return ALONE  # nothing is trained
    if processes.size != wanted:
        raise UsageError(
            f"the model is to be trained by {wanted} processes, but {processes.size} is at work: "
            f"train it with torchrun --nproc-per-node {wanted} -m hashbench train"
        )
    return processes


def _refuse_small_batch(recipe: Recipe, processes: Processes) -> None:
    if processes.size > recipe.batch:
        raise UsageError(
            f"{processes.size} processes for batches of {recipe.batch}: some would never have an "
            "image; start fewer, or take larger batches"
        )


def _shared_place(step: Step, store: Store, processes: Processes) -> Unfinished:
    place = unfinished_training(step, store)
    return FirstReads(place, processes) if processes.several else place


def _bound_loss(setting: Setting, data: RetrievalData) -> BoundLoss:
    return bound(
        setting.loss,
        LossSetup(
            labels=torch.from_numpy(data.train.labels).float(),
            bits=setting.bits,
            generator=torch.Generator().manual_seed(cell_seed(setting, "loss")),
            images=data.train.images,
        ),
    ).to(setting.compute.device)


def _reader(setting: Setting, data: RetrievalData, recipe: Recipe, what: str) -> Pixels:
    seed = cell_seed(setting, "augment", what)
    return augmented(data.train.images, data.train.wide, recipe.augment, seed)


def _card(setting: Setting, defense: str, recipe: dict[str, Any]) -> ModelCard:
    images = setting.source.images
    return ModelCard(
        backbone=canonical(setting.backbone),
        bits=setting.bits,
        loss=canonical(setting.loss),
        defense=defense,
        dataset=setting.source.protocol.dataset,
        protocol=setting.source.protocol.hash,
        seed=setting.seed,
        recipe=recipe,
        shape=(images.channels, images.height, images.width),
    )
