"""Votes of a model on images under Gaussian noise."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hashbench.errors import ModelError, TrainingError, UncertifiableError
from hashbench.hashing.counter_random import CounterRandom
from hashbench.hashing.encode import BlockEncoder, device_of
from hashbench.hashing.model import HashModel
from hashbench.hashing.sending import sent
from hashbench.seeds import seed_of

SELECTION: Final = "selection"
"""The round that says which value of a bit is tested."""

ESTIMATION: Final = "estimation"
"""The round that tests it, with draws of its own."""


@torch.no_grad()
def votes(
    model: HashModel,
    images: Tensor,
    sigma: float,
    draws: int,
    seeds: Sequence[int],
    purpose: str,
    at_once: int,
) -> NDArray[np.int64]:
    """How often each bit is +1 under noise, int64 (B, K).

    The noise of a draw is a function of the image's seed, the purpose and the number of the draw:
    the same on each device, whatever else is computed with it. So are the draws of a model that
    draws; it is asked for one image at a time, so that they are independent of each other, and the
    process-wide generators are afterwards as they were.

    Args:
        model: only its codes are asked; taken in eval mode, its mode is restored.
        images: float (B, C, H, W), on any device.
        sigma: the standard deviation of the noise, which is not cut to `[0, 1]`.
        draws: of each image.
        seeds: one for each image.
        purpose: names the streams.
        at_once: images of one pass.

    Raises:
        UncertifiableError: an output under noise is no number.
    """
    device = device_of(model)
    found = torch.zeros((len(images), model.bits), dtype=torch.int64)
    size = 1 if model.draws > 1 else at_once
    total = len(images) * draws
    for start in range(0, total, size):
        pairs = range(start, min(start + size, total))
        rows = torch.tensor([pair // draws for pair in pairs])
        streams = [(int(seeds[pair // draws]), purpose, pair % draws) for pair in pairs]
        noise = CounterRandom([seed_of("noise", *stream) for stream in streams], device)
        noisy = noise.normal(images.shape[1:]).mul_(sigma).to(images.dtype)
        noisy.add_(sent(images[rows.to(images.device)], device))
        with _drawing(model, seed_of("model", *streams[0])):
            codes = _codes(model, noisy, sigma)
        found.index_add_(0, rows, (torch.from_numpy(codes) > 0).long())
    counts: NDArray[np.int64] = found.numpy()
    return counts


def _codes(model: HashModel, noisy: Tensor, sigma: float) -> NDArray[np.int8]:
    encoder = BlockEncoder(model, len(noisy))
    try:
        encoder.add(noisy)
        return encoder.encoded().codes
    except (ModelError, TrainingError) as error:
        raise UncertifiableError(
            f"its codes under noise of deviation {sigma:g} are not known: {error}"
        ) from error


@contextmanager
def _drawing(model: HashModel, seed: int) -> Iterator[None]:
    """What a model that draws at random gets from torch's generators inside."""
    if model.draws == 1:
        yield
        return
    device = device_of(model)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield
