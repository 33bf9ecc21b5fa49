"""Fixtures of the attacks: linear hashes, plugins by name, spies."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from hashbench import plugins
from hashbench.hashing import BackboneNet, HashModel
from hashbench.plugins import Attack
from support.exact import FineModel


@pytest.fixture(scope="session")
def attack_named() -> Callable[..., Attack]:
    """(name, **parameters) -> the built attack, found as a user finds it."""

    def build(name: str, **parameters: object) -> Attack:
        plugin = plugins.get("attack", name, **parameters)
        assert isinstance(plugin, Attack)
        return plugin

    return build


@pytest.fixture(scope="session")
def linear_hash() -> Callable[..., HashModel]:
    """(weight (K, C, H, W), bias (K,), mean=0, std=1) -> the model `sign(weight . x + bias)`.

    A backbone that only flattens stands between a normalisation and the hash layer; the hash
    layer's own weights undo the normalisation, so `weight` and `bias` act on `[0, 1]` pixels.
    """

    def build(weight: Tensor, bias: Tensor, mean: float = 0.0, std: float = 1.0) -> HashModel:
        bits, channels = weight.shape[:2]
        features = weight[0].numel()
        net = BackboneNet(nn.Flatten(), features, (mean,) * channels, (std,) * channels)
        model = FineModel(net, bits)
        flat = weight.flatten(1)
        with torch.no_grad():
            model.hash_layer.weight.copy_(flat * std)
            model.hash_layer.bias.copy_(bias + mean * flat.sum(dim=1))
        model.eval()
        return model

    return build
