"""In which floats networks compute: exactly, or faster on a GPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum

import torch
from torch import nn


class Precision(StrEnum):
    """In which floats a network computes."""

    FLOAT32 = "float32"
    """All in float32."""

    TF32 = "tf32"
    """On a GPU convolutions and matrix products round their inputs to 10 bits; sums in float32."""

    MIXED = "mixed"
    """The network under the hash layer in bfloat16, as torch's autocast chooses."""


def allow_tf32(allowed: bool) -> None:
    """Let a GPU's convolutions and matrix products round their inputs, or not."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = allowed


@contextmanager
def computing_in(precision: Precision, *networks: nn.Module) -> Iterator[None]:
    """Let hashing models compute in a precision inside; afterwards as before.

    A network that is no backbone of ours (a program of another framework) computes as it does.

    Args:
        precision: the one.
        networks: models, and what is wrapped around them.
    """
    tf32 = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    modules = {
        module: module.mixed
        for network in networks
        for module in network.modules()
        if "mixed" in vars(module)
    }
    allow_tf32(precision is Precision.TF32)
    for module in modules:
        module.mixed = precision is Precision.MIXED  # type: ignore[assignment]
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = tf32
        for module, mixed in modules.items():
            module.mixed = mixed
