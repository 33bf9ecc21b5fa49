"""From images to codes, in batches, in eval mode. Pixels stay uint8 until a batch needs them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hashbench.data.images import Pixels, RetrievalData
from hashbench.errors import TrainingError
from hashbench.hashing.model import HashModel, codes_of

ENCODE_BATCH = 500
"""Images per forward pass. Fixed, since the float order inside a batch depends on it."""


@dataclass(frozen=True)
class Encoded:
    """Codes of a set of images.

    Attributes:
        codes: int8 (N, K), +1 and -1.
        saturated: share of outputs with `|u| = 1` in float32, where no gradient is left.
    """

    codes: NDArray[np.int8]
    saturated: float


def as_images(pixels: NDArray[np.uint8] | NDArray[np.float32], device: torch.device) -> Tensor:
    """Images in `[0, 1]`, float32, from uint8 pixels (divided by 255) or float32 images (as is)."""
    images = torch.from_numpy(np.ascontiguousarray(pixels)).to(device)
    return images.float().div_(255) if images.dtype == torch.uint8 else images


def device_of(model: nn.Module) -> torch.device:
    """The device of the model's first parameter, or buffer where it has no parameter."""
    return next(itertools.chain(model.parameters(), model.buffers())).device


def encode(model: HashModel, pixels: Pixels | NDArray[np.float32]) -> Encoded:
    """Codes of all images.

    Args:
        model: taken in eval mode; its mode is restored.
        pixels: (N, C, H, W), uint8, or float32 in `[0, 1]`.

    Raises:
        TrainingError: an output is NaN, which would pass for a code of -1.
    """
    device = device_of(model)
    codes = _Codes(model, len(pixels))
    for start in range(0, len(pixels), ENCODE_BATCH):
        codes.take(as_images(pixels[start : start + ENCODE_BATCH], device))
    return codes.encoded()


class BlockEncoder:
    """Encodes images that come in parts of any size, as `encode` does all of them at once.

    The parts are joined in blocks that are cut where `encode` cuts, and a block is encoded as soon
    as it is full. So the codes are the same, bit for bit, while one block of images is kept instead
    of all: 301 MB of 3 x 224 x 224. A model that draws, or remembers what it was asked, sees the
    blocks in the same order, but with whatever else it is asked in between.
    """

    def __init__(self, model: HashModel, count: int) -> None:
        """Wait for images.

        Args:
            model: as for `encode`.
            count: how many images will come, N.
        """
        self._model = model
        self._count = count
        self._codes = _Codes(model, count)
        self._block: Tensor | None = None
        self._filled = 0

    def add(self, images: Tensor) -> None:
        """Take the next images, float32 (B, C, H, W) in `[0, 1]` on any device.

        Raises:
            ValueError: more than N have come.
            TrainingError: as `encode`.
        """
        if self._codes.done + self._filled + len(images) > self._count:
            raise ValueError(f"more images came than the {self._count} that were announced")
        if self._block is None:
            size = min(ENCODE_BATCH, self._count)
            self._block = torch.empty((size, *images.shape[1:]), dtype=images.dtype)
        while len(images):
            # The last block may be shorter.
            block = self._block[: self._count - self._codes.done]
            part = images[: len(block) - self._filled]
            block[self._filled : self._filled + len(part)] = part.detach()
            self._filled += len(part)
            images = images[len(part) :]
            if self._filled == len(block):
                self._codes.take(block.to(device_of(self._model)))
                self._filled = 0

    def encoded(self) -> Encoded:
        """The codes of all N images.

        Raises:
            ValueError: fewer than N have come.
        """
        return self._codes.encoded()


class _Codes:
    """The codes of a set of images, block after block."""

    def __init__(self, model: HashModel, count: int) -> None:
        self._model = model
        self._codes = np.empty((count, model.bits), dtype=np.int8)
        self._saturated = 0
        self.done = 0

    @torch.no_grad()
    def take(self, images: Tensor) -> None:
        """Encode the next block, on the model's device."""
        with evaluating(self._model):
            outputs = self._model.outputs(images)
        last = self.done + len(outputs)
        if bool(outputs.isnan().any()):
            raise TrainingError(
                f"the model's outputs are NaN for images {self.done} to {last - 1}: "
                "no code can be read from them"
            )
        self._codes[self.done : last] = codes_of(outputs).cpu().numpy()
        self._saturated += int((outputs.abs() == 1).sum())
        self.done = last

    def encoded(self) -> Encoded:
        if self.done < len(self._codes):
            raise ValueError(f"{self.done} images are encoded, {len(self._codes)} were announced")
        return Encoded(self._codes, self._saturated / max(1, self._codes.size))


def encode_splits(model: HashModel, data: RetrievalData) -> dict[str, NDArray[Any]]:
    """Codes of `train`, `query` and `database`, each with its `..._saturated` share.

    Args:
        model: as for `encode`.
        data: the splits.

    Raises:
        TrainingError: as `encode`.
    """
    arrays: dict[str, NDArray[Any]] = {}
    for name in ("train", "query", "database"):
        encoded = encode(model, getattr(data, name).images)
        arrays[name] = encoded.codes
        arrays[f"{name}_saturated"] = np.array(encoded.saturated)
    return arrays


@torch.no_grad()
def outputs_of(model: HashModel, pixels: Pixels) -> Tensor:
    """Outputs of all images, (N, K), in the same batches and mode as `encode`."""
    with evaluating(model):
        return torch.cat(
            [
                model.outputs(as_images(pixels[start : start + ENCODE_BATCH], device_of(model)))
                for start in range(0, len(pixels), ENCODE_BATCH)
            ]
        )


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Eval mode inside; every module's own mode restored after, also when an error is raised."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


@contextmanager
def frozen(model: nn.Module) -> Iterator[None]:
    """No parameter asks for a gradient inside; restored after, also when an error is raised.

    A backward pass to the input alone is 1.4 to 2 times faster than one that fills `.grad` too.
    """
    asked = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    for parameter, _ in asked:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter, wanted in asked:
            parameter.requires_grad_(wanted)
