"""The hashing model: normalise, backbone, hash layer, tanh. Owns its normalisation."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hashbench.hashing.backbone import BackboneNet


class HashModel(nn.Module):
    """Maps images in `[0, 1]` to outputs `u = tanh(alpha * z)` and codes `sign(u)`.

    Normalisation happens in here, never in a transform, so that a perturbation's size always means
    `[0, 1]` pixels.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, net: BackboneNet, bits: int) -> None:
        """Put a fresh hash layer on a backbone.

        Args:
            net: the network with its normalisation and number of features.
            bits: code length K, at least 1.
        """
        super().__init__()
        self.bits = bits
        self.register_buffer("mean", torch.tensor(net.mean).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(net.std).view(1, -1, 1, 1))
        self.backbone = net.module
        self.hash_layer = nn.Linear(net.features, bits)

    def logits(self, images: Tensor) -> Tensor:
        """The hash layer's values z, (B, K), for images (B, C, H, W) in `[0, 1]`."""
        logits: Tensor = self.hash_layer(self.backbone((images - self.mean) / self.std))
        return logits

    def outputs(self, images: Tensor, alpha: float = 1.0) -> Tensor:
        """The outputs `u = tanh(alpha * z)`, (B, K) in (-1, 1)."""
        return torch.tanh(alpha * self.logits(images))

    def forward(self, images: Tensor) -> Tensor:
        """The outputs at `alpha` 1."""
        return self.outputs(images)

    @torch.no_grad()
    def codes(self, images: Tensor) -> Tensor:
        """The codes, int8 (B, K) of +1 and -1; an output of exactly 0 counts as +1."""
        return codes_of(self.logits(images))


def codes_of(outputs: Tensor) -> Tensor:
    """`u >= 0` as +1, else -1, int8, same shape: unlike `sign`, it leaves no zero."""
    return torch.where(outputs >= 0, 1, -1).to(torch.int8)
