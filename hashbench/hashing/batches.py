"""The batches of an epoch: how many images its steps see."""

from __future__ import annotations

import torch
from torch import Tensor

from hashbench.characters import first_line
from hashbench.data.images import Pixels
from hashbench.errors import TrainingError
from hashbench.hashing.encode import as_images, device_of
from hashbench.hashing.model import HashModel
from hashbench.hashing.recipe import Recipe


def batches(order: Tensor, size: int) -> tuple[Tensor, ...]:
    """An epoch's order, cut into batches.

    The last batch is the rest. A rest of one image joins the batch before it: a norm whose maps
    have shrunk to one value per channel takes its statistics over the batch, and one image has none
    (torch refuses it).

    Args:
        order: (N,) the places of all items.
        size: items of a batch; at 1 every batch is of one.
    """
    parts: tuple[Tensor, ...] = order.split(size)
    if size > 1 and len(parts) > 1 and len(parts[-1]) == 1:
        return (*parts[:-2], torch.cat(parts[-2:]))
    return parts


def number_of_batches(count: int, size: int) -> int:
    """How many batches `batches` makes of `count` items."""
    whole, rest = divmod(count, size)
    return whole + (rest > 1 or (rest == 1 and not whole))


def refuse_single_images(model: HashModel, pixels: Pixels, recipe: Recipe) -> None:
    """Refuse a network that cannot be trained on one image, where every batch would be of one.

    Found by one pass in training mode; the model's state and torch's generators are as before.

    Args:
        model: on the device to compute on.
        pixels: the train set, uint8 (N, C, H, W).
        recipe: of the training.

    Raises:
        TrainingError: it cannot.
    """
    if not recipe.epochs or not len(pixels) or min(len(pixels), recipe.batch) > 1:
        return
    device = device_of(model)
    before = [(buffer, buffer.clone()) for buffer in model.buffers()]
    modes = [(module, module.training) for module in model.modules()]
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices), torch.no_grad():
        model.train()
        try:
            model.outputs(as_images(pixels[:1], device))
        except ValueError as error:
            few = "the train set has one image" if len(pixels) == 1 else "its batches are of one"
            raise TrainingError(
                f"the network cannot be trained: {few}, and a layer of it needs statistics over "
                f"several ({first_line(error)}); take batches of 2 images or more"
            ) from error
        finally:
            for module, training in modes:
                module.training = training
            for buffer, value in before:
                buffer.copy_(value)
