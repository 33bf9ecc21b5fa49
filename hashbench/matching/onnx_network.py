"""Networks of ONNX files as fixed hashes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hashbench.coercion import coerce
from hashbench.errors import FileError, UsageError
from hashbench.hashing.programs.file_program import content_of
from hashbench.hashing.programs.onnx_programs import OnnxNet
from hashbench.hashing.programs.running import InBatches
from hashbench.hashing.programs.sorts import ProgramKind
from hashbench.matching.networks import Network
from hashbench.matching.resized import Filter


@dataclass(frozen=True)
class PerChannel:
    """A number for all channels, or one for each: `0.5`, or `0.485:0.456:0.406`."""

    values: tuple[float, ...]

    @classmethod
    def parse(cls, text: object) -> Self:
        """Read what `canonical` writes, or a number.

        Raises:
            UsageError: it is neither one finite number nor three.
        """
        if isinstance(text, cls):
            return text
        parts = str(text).split(":")
        values = tuple(coerce(part.strip(), float, "per channel") for part in parts)
        if len(values) not in (1, 3) or not np.isfinite(values).all():
            raise UsageError(f"expected one number, or three as in 0.485:0.456:0.406, found {text}")
        return cls(values)

    @property
    def canonical(self) -> str:
        """As it is typed."""
        return ":".join(
            f"{value:g}" if float(f"{value:g}") == value else repr(value) for value in self.values
        )

    def tensor(self) -> Tensor:
        """For images (B, C, H, W)."""
        return torch.tensor(self.values, dtype=torch.float32).view(1, -1, 1, 1)


@dataclass(frozen=True)
class OnnxAsking:
    """How a network of ONNX is asked.

    Attributes:
        mean, std: what is subtracted from pixels in `[0, 1]`, and what they are divided by.
        side: height and width of its images where it says none; 0 where nobody said.
        output: which of several things that it gives.
        by: how pictures are brought to its size.
    """

    mean: PerChannel
    std: PerChannel
    side: int
    output: str
    by: Filter


def onnx_network(path: Path, asking: OnnxAsking, projection: NDArray[np.float64] | None) -> Network:
    """A file of ONNX as a hash: a bit is 1 where a value is above 0.

    Args:
        path: the file; weights beside it are read too.
        asking: how it is asked.
        projection: (K, D), what its D values are multiplied by; without it they are the K values.

    Raises:
        UsageError: it cannot be read, is no ONNX, takes no images, or gives no row of numbers; a
            package is missing.
    """
    content = content_of(path, ProgramKind.ONNX)
    try:
        net = OnnxNet(content, 1, asking.output)
    except FileError as error:
        raise UsageError(f"{path}: {error}".replace("--output", "output=NAME")) from None
    shape = _shape(path, net.shape, asking.side)
    batched = InBatches(net, net.batch) if net.batch > 1 else net
    mean, std = asking.mean.tensor(), asking.std.tensor()
    if shape[0] == 1 and max(mean.numel(), std.numel()) > 1:
        raise UsageError(f"{path} takes one channel: give one mean and one std")

    def values(images: Tensor) -> Tensor:
        given: Tensor = batched((images - mean) / std).flatten(1).double()
        return given if projection is None else given @ torch.from_numpy(projection).T

    try:
        with torch.no_grad():
            found = batched((torch.full((1, *shape), 0.5) - mean) / std)
    except Exception as error:  # onnxruntime's errors have no base of their own
        line = str(error).strip().split("\n")[0]
        raise UsageError(f"{path} cannot be asked for {_said(shape)}: {line}") from None
    count = found.numel()
    if found.ndim < 2 or found.shape[0] != 1 or not count or not found.is_floating_point():
        raise UsageError(
            f"{path} gives {tuple(found.shape)} of {found.dtype} for one picture, expected floats "
            "(1, K)"
        )
    if projection is not None and projection.shape[1] != count:
        raise UsageError(
            f"{path} gives {count} values, but the projection is for {projection.shape[1]}"
        )
    bits = count if projection is None else len(projection)
    return Network(values, shape, bits, asking.by, zero_is_one=False, differentiable=False)


def _shape(path: Path, said: tuple[int, ...], side: int) -> tuple[int, int, int]:
    """Channels, height and width to ask an ONNX file for."""
    channels, height, width = said
    if channels not in (0, 1, 3):
        raise UsageError(
            f"{path} takes images of shape (batch, {channels}, {height or 'any'}, "
            f"{width or 'any'}), expected (batch, channels, height, width) with 1 or 3 channels"
        )
    if side and any(found not in (0, side) for found in (height, width)):
        raise UsageError(
            f"{path} takes images of {height or 'any'} x {width or 'any'} pixels: leave side out"
        )
    if not side and not (height and width):
        raise UsageError(f"{path} says no height and width of its images: give one, as in side=224")
    return channels or 3, height or side, width or side


def _said(shape: tuple[int, ...]) -> str:
    return "images of " + " x ".join(map(str, shape))
