"""The model as an attack sees it: outputs, logits, codes, and a count of every pass."""

from __future__ import annotations

import torch
from torch import Tensor

from hashbench.hashing.model import HashModel, codes_of


class AttackedModel:
    """A defended model behind a counter.

    Attributes:
        bits: code length K.
        forwards: images that went forward so far.
        backwards: images whose gradient was taken so far.
    """

    def __init__(self, model: HashModel) -> None:
        """Wrap a model, which must be in eval mode with frozen parameters."""
        self._model = model
        self.bits = model.bits
        self.forwards = 0
        self.backwards = 0

    def logits(self, images: Tensor) -> Tensor:
        """The hash layer's values z, (B, K), for images (B, C, H, W) in `[0, 1]`."""
        logits = self._model.logits(images)
        self.forwards += len(images)
        if logits.requires_grad:
            logits.register_hook(self._count_backward)
        return logits

    def outputs(self, images: Tensor, alpha: float = 1.0) -> Tensor:
        """The outputs `tanh(alpha * z)`, (B, K)."""
        return torch.tanh(alpha * self.logits(images))

    @torch.no_grad()
    def codes(self, images: Tensor) -> Tensor:
        """The codes, int8 (B, K) of +1 and -1."""
        return codes_of(self.logits(images))

    def _count_backward(self, gradient: Tensor) -> None:
        self.backwards += len(gradient)
