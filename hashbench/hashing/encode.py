"""From images to codes, in batches, in eval mode. Pixels stay uint8 until a batch needs them."""

from __future__ import annotations

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
    return images.float() / 255 if images.dtype == torch.uint8 else images


def device_of(model: nn.Module) -> torch.device:
    """The device of the model's first parameter."""
    return next(model.parameters()).device


@torch.no_grad()
def encode(model: HashModel, pixels: Pixels | NDArray[np.float32]) -> Encoded:
    """Codes of all images.

    Args:
        model: taken in eval mode; its mode is restored.
        pixels: (N, C, H, W), uint8, or float32 in `[0, 1]`.

    Raises:
        TrainingError: an output is NaN, which would pass for a code of -1.
    """
    device = device_of(model)
    codes = np.empty((len(pixels), model.bits), dtype=np.int8)
    saturated = 0
    with evaluating(model):
        for start in range(0, len(pixels), ENCODE_BATCH):
            part = slice(start, start + ENCODE_BATCH)
            outputs = model.outputs(as_images(pixels[part], device))
            if bool(outputs.isnan().any()):
                raise TrainingError(
                    f"the model's outputs are NaN for images {start} to "
                    f"{start + len(outputs) - 1}: no code can be read from them"
                )
            codes[part] = codes_of(outputs).cpu().numpy()
            saturated += int((outputs.abs() == 1).sum())
    return Encoded(codes=codes, saturated=saturated / max(1, codes.size))


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
