"""Images of three kinds, and a small model that was taught to tell them apart."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from hashbench.data.images import ImageSet
from hashbench.hashing import BackboneNet, HashModel

BITS = 12


def blobs(rng: np.random.Generator, count: int, side: int) -> ImageSet:
    """Grey noise, with one quarter a little brighter: (count, 1, side, side)."""
    kinds, half = np.arange(count) % 3, side // 2
    pixels = rng.integers(70, 186, (count, 1, side, side))
    for item, kind in enumerate(kinds):
        row, column = divmod(int(kind), 2)
        pixels[item, 0, half * row : half * (row + 1), half * column : half * (column + 1)] += 45
    return ImageSet(pixels.astype(np.uint8), np.eye(3, dtype=np.uint8)[kinds])


def taught(net: nn.Module, features: int, train: ImageSet, rng: np.random.Generator) -> HashModel:
    """A model on a network, its outputs drawn to one random code for each kind."""
    model = HashModel(BackboneNet(net, features, (0.5,), (0.2,)), BITS)
    centers = torch.from_numpy(rng.choice([-1.0, 1.0], (3, BITS))).float()
    pixels = torch.from_numpy(train.images[:]).float() / 255
    wanted = centers[torch.from_numpy(train.labels).long().argmax(dim=1)]
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(60):
        loss = (model(pixels) - wanted).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model.eval()
