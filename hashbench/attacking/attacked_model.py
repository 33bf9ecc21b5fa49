"""The model as an attack sees it: outputs, logits, codes, ranked lists; every pass is counted."""

from __future__ import annotations

import torch
from torch import Tensor

from hashbench.errors import PluginError
from hashbench.hashing.model import HashModel, codes_of
from hashbench.plugins.card import Access


class OutOfPassesError(BaseException):
    """The limit of passes is used up. No `Exception`, so that no plugin catches it by accident."""


class AttackedModel:
    """A defended model behind a counter, and behind the access that the attack's card declares.

    A model that draws at random says how often (`HashModel.draws`): its logits are then the mean
    over so many passes, the expectation that an attack has to follow (Athalye, Engstrom, Ilyas and
    Kwok, ICML 2018). Every pass counts. A code is that of one draw, as any user would get it.

    Attributes:
        bits: code length K.
        forwards: images that went forward so far.
        backwards: images whose gradient was taken so far.
    """

    def __init__(
        self,
        model: HashModel,
        attack: str = "attack",
        access: Access = Access.GRADIENT,
        *,
        database_codes: Tensor | None = None,
    ) -> None:
        """Wrap a model, which must be in eval mode with frozen parameters.

        Args:
            model: the defended model.
            attack: the attack's name, for messages.
            access: what the attack may ask for; anything else is a PluginError.
            database_codes: (M, K) of +1 and -1: what a ranked list is a list of.
        """
        self._model = model
        self._attack = attack
        self._access = access
        self._database = database_codes
        self._limit: float = float("inf")
        self.bits = model.bits
        self.forwards = 0
        self.backwards = 0

    def logits(self, images: Tensor) -> Tensor:
        """The hash layer's values z, (B, K), for images (B, C, H, W) in `[0, 1]`."""
        self._require(Access.GRADIENT, "outputs")
        logits = self._forward(images)
        for _ in range(1, self._model.draws):
            logits = logits + self._forward(images)
        return logits / self._model.draws if self._model.draws > 1 else logits

    def outputs(self, images: Tensor, alpha: float = 1.0) -> Tensor:
        """The outputs `tanh(alpha * z)`, (B, K)."""
        return torch.tanh(alpha * self.logits(images))

    @torch.no_grad()
    def codes(self, images: Tensor) -> Tensor:
        """The codes, int8 (B, K) of +1 and -1."""
        self._require(Access.CODES, "codes")
        return codes_of(self._forward(images))

    @torch.no_grad()
    def ranked(self, images: Tensor, length: int) -> Tensor:
        """What a search engine answers: the nearest database images, nearest first.

        Args:
            images: (B, C, H, W) in `[0, 1]`.
            length: of the list; cut to the size of the database.

        Returns:
            int64 (B, length): positions in the database, equal distances in its order.
        """
        self._require(Access.RANKING, "ranked lists")
        if self._database is None:
            raise PluginError(
                f"attack '{self._attack}' asks for ranked lists: there is no database"
            )
        codes = codes_of(self._forward(images)).float()
        distances = (self.bits - codes @ self._database.T) / 2
        # One whole number per item that holds distance and position: no two are equal.
        places = torch.arange(len(self._database), device=codes.device)
        order = distances.round().long() * len(self._database) + places
        found = order.topk(min(length, len(self._database)), dim=1, largest=False, sorted=True)
        return found.indices

    def allow(self, passes: float) -> None:
        """Let so many more images go forward, and no more; the harness calls it."""
        self._limit = self.forwards + passes

    def _forward(self, images: Tensor) -> Tensor:
        self.forwards += len(images)
        if self.forwards > self._limit:
            raise OutOfPassesError
        logits = self._model.logits(images)
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
