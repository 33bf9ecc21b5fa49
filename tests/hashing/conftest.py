"""Fixtures of the hashing room: a small model, plugins by name."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hashbench import plugins
from hashbench.hashing import BackboneNet, BoundLoss, HashModel, LossSetup
from hashbench.plugins import Loss

VECTORS = Path(__file__).resolve().parents[1] / "vectors/hash_losses.npz"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test of `vector_case` once for every case that the losses' reference vectors hold."""
    if "vector_case" in metafunc.fixturenames:
        with np.load(VECTORS, allow_pickle=False) as arrays:
            names = arrays.files
        found = {match[1] for name in names if (match := re.match(r"(c\d+)_", name))}
        assert found, f"{VECTORS} holds no case"
        metafunc.parametrize("vector_case", sorted(found), scope="module")


@pytest.fixture(scope="session")
def small_model() -> Callable[..., HashModel]:
    """(seed=0, bits=6, dropout=0.0) -> a network with batch norm for (3, 4, 4) images."""

    def build(seed: int = 0, bits: int = 6, dropout: float = 0.0) -> HashModel:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            net = nn.Sequential(
                nn.Conv2d(3, 4, 3),
                nn.BatchNorm2d(4),
                nn.ReLU(),
                nn.Flatten(),
                nn.Dropout(dropout),
                nn.Linear(16, 10),
                nn.ReLU(),
            )
            return HashModel(BackboneNet(net, 10, (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)), bits).eval()

    return build


@pytest.fixture(scope="session")
def bound() -> Callable[..., BoundLoss]:
    """(spec, labels, bits, seed=0) -> the loss at work on a train set with these labels."""

    def bind(spec: str, labels: Tensor, bits: int, seed: int = 0) -> BoundLoss:
        plugin = plugins.get("loss", spec)
        assert isinstance(plugin, Loss)
        return plugin.bind(LossSetup(labels, bits, torch.Generator().manual_seed(seed)))

    return bind
