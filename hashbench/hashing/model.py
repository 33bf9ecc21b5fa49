"""The hashing model: normalise, backbone, hash layer, tanh. Owns its normalisation."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from typing_extensions import override

from hashbench.hashing.backbone import BackboneNet


class HashModel(nn.Module):
    """Maps images in `[0, 1]` to outputs `u = tanh(alpha * z)` and codes `sign(u)`.

    Normalisation happens in here, never in a transform, so that a perturbation's size always means
    `[0, 1]` pixels.

    Attributes:
        draws: forward passes that an attack averages its loss over; above 1 for a model that draws
            at random, from torch's process-wide generator.
        differentiable: whether a gradient goes from its outputs to the images; where none does,
            attacks that need one are not for it.
        threshold: the distance up to which two pictures match; `None` where a list is ranked.
        transforms_images: whether something changes the images before the network sees them, of
            which no bounds are known.
    """

    mean: Tensor
    std: Tensor
    draws: int = 1
    differentiable: bool = True
    threshold: int | None = None
    transforms_images: bool = False

    def __init__(self, net: BackboneNet, bits: int, *, mixed: bool = False) -> None:
        """Put a fresh hash layer on a backbone.

        Args:
            net: the network with its normalisation and number of features.
            bits: code length K, at least 1.
            mixed: run the backbone in bfloat16 where torch finds it safe (autocast). The hash layer
                stays in float32, since a tanh in bfloat16 is 1 from 3.5 on and has no gradient.
        """
        super().__init__()
        self.bits = bits
        self.mixed = mixed
        self.register_buffer("mean", torch.tensor(net.mean).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(net.std).view(1, -1, 1, 1))
        self.backbone = net.module
        self.hash_layer = nn.Linear(net.features, bits)
        if net.hash_std is not None:
            nn.init.normal_(self.hash_layer.weight, std=net.hash_std)
            nn.init.zeros_(self.hash_layer.bias)

    def logits(self, images: Tensor) -> Tensor:
        """The hash layer's values z, (B, K), for images (B, C, H, W) in `[0, 1]`."""
        # One channel against a mean of three gives three: this is how a backbone sees grey images.
        normalised = (images - self.mean) / self.std
        # The model's device, not the images': code that is followed by torch.fx has no images.
        with torch.autocast(self.mean.device.type, dtype=torch.bfloat16, enabled=self.mixed):
            features = self.backbone(normalised)
        logits: Tensor = self.hash_layer(features.to(self.mean.dtype))
        return logits

    def outputs(self, images: Tensor, alpha: float = 1.0) -> Tensor:
        """The outputs `u = tanh(alpha * z)`, (B, K) in (-1, 1)."""
        return torch.tanh(alpha * self.logits(images))

    @override
    def forward(self, images: Tensor) -> Tensor:
        return self.outputs(images)

    @torch.no_grad()
    def codes(self, images: Tensor) -> Tensor:
        """The codes, int8 (B, K) of +1 and -1; an output of exactly 0 counts as +1."""
        return codes_of(self.logits(images))


def codes_of(outputs: Tensor) -> Tensor:
    """`u >= 0` as +1, else -1, int8, same shape: unlike `sign`, it leaves no zero."""
    return torch.where(outputs >= 0, 1, -1).to(torch.int8)
