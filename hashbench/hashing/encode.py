"""From images to codes, in batches, in eval mode. Pixels stay uint8 until a batch needs them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hashbench.data.images import Pixels, RetrievalData
from hashbench.errors import TrainingError
from hashbench.hashing.halving import Retry, in_halves, out_of_memory
from hashbench.hashing.model import HashModel, codes_of
from hashbench.hashing.sending import sent

ENCODE_BATCH = 500
"""Images per forward pass; fewer only where memory has no room for so many. Fixed, since the float
order inside a batch depends on it."""

_READ_EVERY: Final = 64
"""Blocks whose codes wait on a GPU until they are read together: reading waits for all its work."""


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
    images = sent(torch.from_numpy(np.ascontiguousarray(pixels)), device)
    return images.float().div_(255) if images.dtype == torch.uint8 else images


def device_of(model: nn.Module) -> torch.device:
    """The device of the model's first parameter, or buffer where it has no parameter."""
    return next(itertools.chain(model.parameters(), model.buffers())).device


def encode(model: HashModel, pixels: Pixels | NDArray[np.float32]) -> Encoded:
    """Codes of all images.

    Where memory runs out, all of them are encoded anew in blocks of half the size, with the same
    draws: the codes are those that blocks of the size that fits give from the start.

    Args:
        model: taken in eval mode; its mode is restored.
        pixels: (N, C, H, W), uint8, or float32 in `[0, 1]`.

    Raises:
        TrainingError: an output is NaN, which would pass for a code of -1.
        MemoryError, RuntimeError: memory runs out for a single image.
    """
    return in_halves(ENCODE_BATCH, partial(_encoded, model, pixels))


def _encoded(model: HashModel, pixels: Pixels | NDArray[np.float32], size: int) -> Encoded:
    device = device_of(model)
    codes = _Codes(model, len(pixels))
    for start in range(0, len(pixels), size):
        codes.take(as_images(pixels[start : start + size], device))
    return codes.encoded()


class BlockEncoder:
    """Encodes images that come in parts of any size, as `encode` does all of them at once.

    The parts are joined in blocks that are cut where `encode` cuts, and a block is encoded as soon
    as it is full. So the codes are the same, bit for bit, while one block of images is kept instead
    of all: 301 MB of 3 x 224 x 224, on the model's device if it has room. A model that draws, or
    remembers what it was asked, sees the blocks in the same order, but with whatever else it is
    asked in between. Where memory runs out, this block and those after it are cut in half.
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
        self._size = ENCODE_BATCH
        self._block: Tensor | None = None
        self._filled = 0

    def add(self, images: Tensor) -> None:
        """Take the next images, float32 (B, C, H, W) in `[0, 1]` on any device.

        Raises:
            ValueError: more than N have come.
            TrainingError: as `encode`; on a GPU some blocks later.
        """
        if self._codes.done + self._filled + len(images) > self._count:
            raise ValueError(f"more images came than the {self._count} that were announced")
        if self._block is None:
            self._block = self._empty(images)
        while len(images):
            part = images[: len(self._block) - self._filled]
            self._block[self._filled : self._filled + len(part)] = part.detach()
            self._filled += len(part)
            images = images[len(part) :]
            # The last block may be shorter.
            if self._filled == min(len(self._block), self._count - self._codes.done):
                self._encode(self._block)
        if self._codes.done == self._count:
            self._codes.read()

    def encoded(self) -> Encoded:
        """The codes of all N images.

        Raises:
            ValueError: fewer than N have come.
        """
        return self._codes.encoded()

    def _empty(self, images: Tensor) -> Tensor:
        shape = (min(ENCODE_BATCH, self._count), *images.shape[1:])
        try:
            return torch.empty(shape, dtype=images.dtype, device=device_of(self._model))
        except torch.OutOfMemoryError:
            return torch.empty(shape, dtype=images.dtype)

    def _encode(self, block: Tensor) -> None:
        """Encode what has come, but for a rest that is shorter than what goes together."""
        device, start = device_of(self._model), 0
        while start < self._filled:
            last = self._codes.done + self._filled - start == self._count
            if self._filled - start < self._size and not last and start:
                break
            retry = Retry()
            try:
                self._codes.take(sent(block[start : min(start + self._size, self._filled)], device))
            except (MemoryError, RuntimeError) as error:
                if self._size == 1 or not out_of_memory(error):
                    raise
            else:
                start = min(start + self._size, self._filled)
                continue
            self._size //= 2
            retry.begin()
        rest = self._filled - start
        block[:rest] = block[start : self._filled].clone()
        self._filled = rest


class _Codes:
    """The codes of a set of images, block after block."""

    def __init__(self, model: HashModel, count: int) -> None:
        self._model = model
        self._codes = np.empty((count, model.bits), dtype=np.int8)
        self._saturated = 0
        self._waiting: list[tuple[Tensor, Tensor]] = []
        self._read = 0
        # Small tensors that outlive a block's large ones keep the C library from using their memory
        # again; and the CPU has nothing to wait for.
        self._together = 1 if device_of(model).type == "cpu" else _READ_EVERY
        self.done = 0

    @torch.no_grad()
    def take(self, images: Tensor) -> None:
        """Encode the next block, on the model's device."""
        with evaluating(self._model):
            outputs = self._model.outputs(images)
        told = torch.stack([outputs.isnan().any().long(), (outputs.abs() == 1).sum()])
        self._waiting.append((codes_of(outputs), told))
        self.done += len(outputs)
        if len(self._waiting) == self._together:
            self.read()

    def read(self) -> None:
        """Wait for the codes of the blocks that were taken.

        Raises:
            TrainingError: an output is NaN; names the images of its block.
        """
        if not self._waiting:
            return
        blocks, told = zip(*self._waiting, strict=True)
        self._waiting = []
        for codes, (wrong, saturated) in zip(blocks, torch.stack(told).cpu().tolist(), strict=True):
            last = self._read + len(codes)
            if wrong:
                raise TrainingError(
                    f"the model's outputs are NaN for images {self._read} to {last - 1}: "
                    "no code can be read from them"
                )
            self._codes[self._read : last] = codes.cpu().numpy()
            self._saturated += saturated
            self._read = last

    def encoded(self) -> Encoded:
        if self.done < len(self._codes):
            raise ValueError(f"{self.done} images are encoded, {len(self._codes)} were announced")
        self.read()
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

    def outputs(size: int) -> Tensor:
        device = device_of(model)
        return torch.cat(
            [
                model.outputs(as_images(pixels[start : start + size], device))
                for start in range(0, len(pixels), size)
            ]
        )

    with evaluating(model):
        return in_halves(ENCODE_BATCH, outputs)


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
