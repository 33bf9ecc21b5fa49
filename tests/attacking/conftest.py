"""Fixtures of the evaluation room: a small model, its queries, a run with defaults."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from hashbench.attacking import Attacker, AttackOutcome, Eps, Known, Threat, run_attack
from hashbench.hashing import BackboneNet, HashModel
from hashbench.plugins import Attack
from support.fake_device import place as place

QUERIES, BITS, CLASSES = 11, 6, 3


@pytest.fixture
def model() -> HashModel:
    """A network with batch norm and dropout, in eval mode, every parameter asking for gradients."""
    with torch.random.fork_rng():
        torch.manual_seed(5)
        net = nn.Sequential(
            nn.Flatten(), nn.Linear(27, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.5)
        )
        return HashModel(BackboneNet(net, 16, (0.5,) * 3, (0.25,) * 3), BITS).eval()


@pytest.fixture(scope="session")
def pixels() -> NDArray[np.uint8]:
    return np.random.default_rng(2).integers(0, 256, (QUERIES, 3, 3, 3), dtype=np.uint8)


@pytest.fixture(scope="session")
def known() -> Known:
    rng = np.random.default_rng(3)
    signs = np.array([-1, 1], dtype=np.int8)
    labels = np.eye(CLASSES, dtype=np.uint8)
    return Known.of(
        labels=labels[rng.integers(0, CLASSES, QUERIES)],
        center_codes=rng.choice(signs, (QUERIES, BITS)),
        train_codes=rng.choice(signs, (20, BITS)),
        train_labels=labels[rng.integers(0, CLASSES, 20)],
    )


@pytest.fixture
def run(model: HashModel, pixels: NDArray[np.uint8], known: Known) -> Callable[..., Any]:
    """(attack, batch=4, eps="8/255", seeds=0.., on=model) -> the outcome."""

    def with_defaults(
        attack: Attack,
        *,
        batch: int = 4,
        eps: str = "8/255",
        seeds: Sequence[int] = range(QUERIES),
        on: HashModel | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> AttackOutcome:
        return run_attack(
            attack,
            on or model,
            pixels,
            Attacker(known),
            Threat(Eps.parse(eps)),
            seeds,
            batch=batch,
            progress=progress,
        )

    return with_defaults
