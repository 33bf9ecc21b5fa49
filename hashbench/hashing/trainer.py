"""The one training loop: base models and every trained defense go through it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray
from typing_extensions import override

from hashbench.data.images import Pixels
from hashbench.errors import PluginError, TrainingError
from hashbench.hashing.batches import batches, number_of_batches, refuse_single_images
from hashbench.hashing.encode import as_images, device_of
from hashbench.hashing.kept import Keeping, Kept, ProcessWide
from hashbench.hashing.model import HashModel
from hashbench.hashing.objective import Batch, BoundLoss, Objective
from hashbench.hashing.recipe import Recipe
from hashbench.hashing.resuming import Resumable, Unfinished
from hashbench.plugins.blame import came, sentence_of
from hashbench.progress import Progress


@dataclass(frozen=True)
class TrainingLog:
    """The record of a training.

    Attributes:
        losses: the loss of every step, in order.
    """

    losses: tuple[float, ...]


class PlainObjective(Objective):
    """The hashing loss on clean images: how a base model is trained."""

    def __init__(self, model: HashModel, loss: BoundLoss) -> None:
        self._model = model
        self._loss = loss

    @override
    def loss(self, batch: Batch) -> torch.Tensor:
        found = self._loss(self._model.outputs(batch.images), batch.labels, batch.index)
        return _as_loss(self._loss, "forward", found)

    @override
    def parameters(self) -> Iterable[torch.nn.Parameter]:
        return self._loss.parameters()

    @override
    def keeps(self) -> Mapping[str, Kept]:
        return {"loss": self._loss}


def random_orders(count: int, epochs: int, seed: int) -> Iterator[torch.Tensor]:
    """A fresh random order of all items for every epoch."""
    generator = torch.Generator().manual_seed(seed)
    for _ in range(epochs):
        yield torch.randperm(count, generator=generator)


def train(
    model: HashModel,
    objective: Objective,
    recipe: Recipe,
    pixels: Pixels,
    labels: NDArray[np.uint8],
    orders: Iterable[torch.Tensor],
    *,
    progress: Progress | None = None,
    unfinished: Unfinished | None = None,
) -> TrainingLog:
    """Train a model in place.

    Args:
        model: on the device to compute on.
        objective: gives the loss of each batch.
        recipe: optimiser and schedule.
        pixels: the train set, uint8 (N, C, H, W).
        labels: (N, classes) of 0 and 1.
        orders: one order of the N items per epoch; those of finished epochs are passed over.
        progress: told after every step, in steps.
        unfinished: where the state after every epoch but the last is written; the training goes on
            from what is found there, to the byte, where the objective says what changes (`keeps`).

    Raises:
        PluginError: the objective gives no loss.
        TrainingError: the loss is not finite, or the network cannot be trained on one image at a
            time where every batch is of one.
    """
    device = device_of(model)
    all_labels = torch.from_numpy(labels).float()
    parameters = [*model.parameters(), *objective.parameters()]
    optimizer = recipe.build_optimizer(parameters)
    per_epoch = number_of_batches(len(pixels), recipe.batch)
    steps = recipe.epochs * per_epoch
    refuse_single_images(model, pixels, recipe)
    model.train()
    state: dict[str, Kept] = {
        "model": model,
        "optimizer": optimizer,
        "objective": objective,
        "process": ProcessWide(device),
    }
    if isinstance(pixels, Keeping):
        state["pixels"] = pixels
    resumable = Resumable(state, unfinished)
    done, losses = resumable.resume(steps)
    for epoch, order in enumerate(islice(orders, done, None), start=done + 1):
        for index in batches(order, recipe.batch):
            for group in optimizer.param_groups:
                group["lr"] = recipe.rate_at(len(losses), steps)
            batch = Batch(
                images=as_images(pixels[index.numpy()], device),
                labels=all_labels[index].to(device),
                index=index.to(device),
            )
            loss = _as_loss(objective, "loss", objective.loss(batch))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
            if not math.isfinite(losses[-1]):
                raise TrainingError(
                    f"the training loss became {losses[-1]} in step {len(losses)} of {steps} "
                    f"(learning rate {recipe.learning_rate}): try a smaller one"
                )
            if progress is not None:
                progress(len(losses), steps)
        if epoch < recipe.epochs:
            resumable.keep(epoch, losses)
    model.eval()
    return TrainingLog(losses=tuple(losses))


def _as_loss(whose: object, method: str, found: object) -> torch.Tensor:
    """What a loss gave for a batch, once it can be minimised.

    Raises:
        PluginError: it is no tensor of one number, or has no graph; names the method's file, line.
    """
    if not isinstance(found, torch.Tensor):
        what = f"returned {came(found)}"
    elif found.numel() != 1:
        what = f"returned a tensor of shape {tuple(found.shape)}"
    elif not found.requires_grad:
        what = "returned a number without a graph to the model's outputs"
    else:
        return found
    raise PluginError(
        sentence_of(
            f"class {type(whose).__name__}: {method}() must return the loss of a batch, a tensor "
            f"of one number with its gradient, but {what}",
            whose,
            method,
        )
    )
