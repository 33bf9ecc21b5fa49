"""What all tests share: how hypothesis searches, and the reference vectors."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, settings
from numpy.typing import NDArray
from torch import nn

from hashbench.hashing import BackboneNet, HashModel

# No test is timed, not even an example of one; and a commit passes or fails the same way twice.
settings.register_profile(
    "hashbench",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize="CI" in os.environ,
)
settings.load_profile("hashbench")

VECTORS = Path(__file__).resolve().parent / "vectors"


@pytest.fixture(scope="session")
def vectors() -> Callable[[str], Mapping[str, NDArray[Any]]]:
    """Reader of reference vectors: numbers that the research repositories computed."""

    def read(name: str) -> Mapping[str, NDArray[Any]]:
        with np.load(VECTORS / f"{name}.npz", allow_pickle=False) as arrays:
            return dict(arrays)

    return read


@pytest.fixture(scope="session")
def vector_model() -> Callable[[Mapping[str, NDArray[Any]]], HashModel]:
    """The vectors' tiny model, `tanh(alpha * relu(normalised x @ W1) @ W2)`, without biases.

    Takes `W1` and `W2` from the arrays, or `W1_init` and `W2_init`, where a training starts.
    """

    def build(arrays: Mapping[str, NDArray[Any]]) -> HashModel:
        end = "" if "W1" in arrays else "_init"
        first, second = (torch.from_numpy(arrays[name + end]) for name in ("W1", "W2"))
        hidden = nn.Linear(first.shape[0], first.shape[1], bias=False)
        net = BackboneNet(
            nn.Sequential(nn.Flatten(), hidden, nn.ReLU()),
            first.shape[1],
            (0.485, 0.456, 0.406),
            (0.229, 0.224, 0.225),
        )
        model = HashModel(net, second.shape[1])
        model.hash_layer = nn.Linear(second.shape[0], second.shape[1], bias=False)
        with torch.no_grad():
            hidden.weight.copy_(first.T)
            model.hash_layer.weight.copy_(second.T)
        return model.eval()

    return build
