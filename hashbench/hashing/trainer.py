"""The one training loop: base models and every trained defense go through it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray
from typing_extensions import override

from hashbench.data.images import Pixels
from hashbench.errors import MemoryRanOutError, PluginError, TrainingError
from hashbench.hashing.batches import number_of_batches, refuse_single_images
from hashbench.hashing.encode import device_of
from hashbench.hashing.feed import Feed
from hashbench.hashing.halving import out_of_memory
from hashbench.hashing.kept import Keeping, Kept, ProcessWide
from hashbench.hashing.last_good import LastGood
from hashbench.hashing.loss_record import LossRecord, NotFiniteError
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

    No step waits for the device: losses stay there, and are read every so many steps (`READ_EVERY`)
    and at the end of an epoch. One that is not finite ends the training when it is read. The model
    is then what it was after the last epoch whose losses and weights were finite.

    Args:
        model: on the device to compute on.
        objective: gives the loss of each batch.
        recipe: optimiser and schedule.
        pixels: the train set, uint8 (N, C, H, W).
        labels: (N, classes) of 0 and 1.
        orders: one order of the N items per epoch; those of finished epochs are passed over.
        progress: told after every step that is on its way, in steps.
        unfinished: where the state after every epoch but the last is written; the training goes on
            from what is found there, to the byte, where the objective says what changes (`keeps`).

    Raises:
        PluginError: the objective gives no loss.
        MemoryRanOutError: a batch does not fit; half of one would be another training.
        TrainingError: the loss is not finite, or the network cannot be trained on one image at a
            time where every batch is of one.
    """
    device = device_of(model)
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
    record = LossRecord(losses, device)
    good = LastGood((*model.parameters(), *model.buffers()), done)
    try:
        feed = Feed(pixels, labels, device)
        for epoch, order in enumerate(islice(orders, done, None), start=done + 1):
            for batch in feed.epoch(order, recipe.batch):
                for group in optimizer.param_groups:
                    group["lr"] = recipe.rate_at(record.steps, steps)
                told = replace(batch, progress=record.steps / steps)
                loss = _as_loss(objective, "loss", objective.loss(told))
                optimizer.zero_grad()
                loss.backward()
                if recipe.clip_norm is not None:
                    torch.nn.utils.clip_grad_norm_(parameters, recipe.clip_norm)
                optimizer.step()
                record.add(loss)
                if progress is not None:
                    progress(record.steps, steps)
            losses = record.losses()
            good.keep(epoch)
            if epoch < recipe.epochs:
                resumable.keep(epoch, losses)
    except Exception as error:
        if isinstance(cause := _cause(error, record), NotFiniteError):
            when = good.put_back()
            raise TrainingError(
                f"the training loss became {cause.value} in step {cause.step} of {steps} "
                f"(learning rate {recipe.learning_rate}): try a smaller one; the training has "
                f"stopped at the model's last good state, {when}"
            ) from None
        if out_of_memory(cause):
            raise MemoryRanOutError(_too_large(recipe, record.steps + 1, steps)) from cause
        raise
    model.eval()
    return TrainingLog(losses=tuple(record.losses()))


def _cause(error: Exception, record: LossRecord) -> Exception:
    """Why a training ended: a loss that was not read yet may be what another error came of."""
    if not isinstance(error, NotFiniteError):
        try:
            record.losses()
        except NotFiniteError as earlier:
            return earlier
        except RuntimeError:  # the device gives no answer any more: what it said first counts
            return error
    return error


def _too_large(recipe: Recipe, step: int, steps: int) -> str:
    return (
        f"memory ran out in step {step} of {steps} of a training, with batches of {recipe.batch} "
        "images; half of a batch would be another training, so it has stopped: make training.batch "
        "of the suite smaller (a defense has its own), let fewer workers run at a time, or take a "
        "device with more memory; what is kept of finished epochs goes on from there"
    )


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
