"""Fixtures of the defenses: small models and data, defenses by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hashbench import plugins
from hashbench.defending import AdversarialTraining, Budget, DefenseSetup
from hashbench.eps import Eps
from hashbench.hashing import BackboneNet, BoundLoss, HashModel, LossSetup
from hashbench.plugins import Loss
from support.fake_device import place as place

BITS, CLASSES, COUNT = 6, 3, 20


@pytest.fixture(scope="session")
def defense_named() -> Callable[..., AdversarialTraining]:
    """(name, **parameters) -> the built defense, found as a user finds it."""

    def build(name: str, **parameters: object) -> AdversarialTraining:
        plugin = plugins.get("defense", name, **parameters)
        assert isinstance(plugin, AdversarialTraining)
        return plugin

    return build


@pytest.fixture(scope="session")
def small_model() -> Callable[..., HashModel]:
    """(seed=0, dropout=0.0) -> a network with batch norm for (1, 4, 4) images."""

    def build(seed: int = 0, dropout: float = 0.0) -> HashModel:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            net = nn.Sequential(
                nn.Flatten(), nn.Linear(16, 12), nn.BatchNorm1d(12), nn.ReLU(), nn.Dropout(dropout)
            )
            return HashModel(BackboneNet(net, 12, (0.5,), (0.25,)), BITS).eval()

    return build


@pytest.fixture(scope="session")
def bound() -> Callable[..., BoundLoss]:
    """(spec, labels, bits=6) -> the loss at work on a train set with these labels."""

    def bind(spec: str, labels: Tensor, bits: int = BITS) -> BoundLoss:
        plugin = plugins.get("loss", spec)
        assert isinstance(plugin, Loss)
        return plugin.bind(LossSetup(labels, bits, torch.Generator().manual_seed(0)))

    return bind


@pytest.fixture(scope="session")
def pixels() -> NDArray[np.uint8]:
    """Train images whose brightness in one quarter tells the class, in much noise."""
    rng = np.random.default_rng(3)
    images = rng.integers(60, 196, (COUNT, 1, 4, 4))
    for item in range(COUNT):
        row, column = divmod(item % CLASSES, 2)
        images[item, 0, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2] += 40
    return images.astype(np.uint8)


@pytest.fixture(scope="session")
def labels() -> NDArray[np.uint8]:
    return np.eye(CLASSES, dtype=np.uint8)[np.arange(COUNT) % CLASSES]


@pytest.fixture(scope="session")
def setup_of(bound: Callable[..., BoundLoss]) -> Callable[..., DefenseSetup]:
    """(model, pixels, labels, spec="csq", epochs=2, inner_steps=3, eps="8/255", seed=0)."""

    def build(
        model: HashModel,
        pixels: NDArray[Any],
        labels: NDArray[Any],
        spec: str = "csq",
        epochs: int = 2,
        inner_steps: int = 3,
        eps: str = "8/255",
        seed: int = 0,
    ) -> DefenseSetup:
        images = torch.from_numpy(pixels).float() / (255 if pixels.dtype == np.uint8 else 1)
        rows = torch.from_numpy(labels).float()
        with torch.no_grad():
            outputs = model.outputs(images)
        return DefenseSetup(
            model=model,
            loss=bound(spec, rows, model.bits),
            outputs=outputs,
            labels=rows,
            database_labels=rows,
            budget=Budget(epochs, inner_steps, Eps.parse(eps)),
            generator=torch.Generator().manual_seed(seed),
        )

    return build
