"""The model as an attack sees it: outputs, logits, codes, and a count of every pass."""

from __future__ import annotations

import torch
from torch import Tensor

from hashbench.errors import PluginError
from hashbench.hashing.model import HashModel, codes_of
from hashbench.plugins.card import Access


class AttackedModel:
    """A defended model behind a counter, and behind the access that the attack's card declares.

    Attributes:
        bits: code length K.
        forwards: images that went forward so far.
        backwards: images whose gradient was taken so far.
    """

    def __init__(
        self, model: HashModel, attack: str = "attack", access: Access = Access.GRADIENT
    ) -> None:
        """Wrap a model, which must be in eval mode with frozen parameters.

        Args:
            model: the defended model.
            attack: the attack's name, for messages.
            access: what the attack may ask for; anything else is a PluginError.
        """
        self._model = model
        self._attack = attack
        self._access = access
        self.bits = model.bits
        self.forwards = 0
        self.backwards = 0

    def logits(self, images: Tensor) -> Tensor:
        """The hash layer's values z, (B, K), for images (B, C, H, W) in `[0, 1]`."""
        self._require(Access.GRADIENT, "outputs")
        return self._forward(images)

    def outputs(self, images: Tensor, alpha: float = 1.0) -> Tensor:
        """The outputs `tanh(alpha * z)`, (B, K)."""
        return torch.tanh(alpha * self.logits(images))

    @torch.no_grad()
    def codes(self, images: Tensor) -> Tensor:
        """The codes, int8 (B, K) of +1 and -1."""
        self._require(Access.CODES, "codes")
        return codes_of(self._forward(images))

    def _forward(self, images: Tensor) -> Tensor:
        logits = self._model.logits(images)
        self.forwards += len(images)
        if logits.requires_grad:
            logits.register_hook(self._count_backward)
        return logits

    def _require(self, least: Access, what: str) -> None:
        order = (Access.NONE, Access.RANKING, Access.CODES, Access.GRADIENT)
        if order.index(self._access) < order.index(least):
            raise PluginError(
                f"attack '{self._attack}' asks for the model's {what}, but its card declares "
                f"access '{self._access}'"
            )

    def _count_backward(self, gradient: Tensor) -> None:
        self.backwards += len(gradient)
