"""The model as an attack sees it: outputs, codes, distances, lists; every pass is counted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from hashbench.attacking.expectation import expected_loss, mean_of
from hashbench.errors import PluginError
from hashbench.hashing.model import HashModel, codes_of
from hashbench.plugins.card import Access

_ORDER: Final = (
    Access.NONE,
    Access.RANKING,
    Access.DISTANCES,
    Access.CODES,
    Access.GRADIENT,
)
"""Each shows what those before it do: codes give distances, and distances to all items of a list
give their order."""


class OutOfPassesError(BaseException):
    """The limit of passes is used up. No `Exception`, so that no plugin catches it by accident."""


class AttackedModel:
    """A defended model behind a counter, and behind the access that the attack's card declares.

    A model that draws at random says how often it has to be asked (`HashModel.draws`, D). What an
    attack has to follow is then the expectation of its *loss* (EOT; Athalye, Engstrom, Ilyas and
    Kwok, ICML 2018): `expected_loss` calls the loss once per draw. `logits` and `outputs` are means
    over D draws, which is the same for a loss that is linear in them, and for no other;
    `drawn_logits` and `drawn_codes` give every draw. `codes`, distances and `ranked` are those of
    one draw, as any user would get them. Every pass counts, and every call draws anew, from torch's
    process-wide generator. With D = 1 all means are the one pass itself, to the bit.

    Attributes:
        bits: code length K.
        threshold: the distance up to which two pictures match; `None` where a list is ranked.
        draws: D, passes that each look at the model takes; 1 for a model that does not draw.
        forwards: images that went forward so far.
        backwards: images whose gradient was taken so far.
        largest: images of the largest pass so far.
    """

    draws: int = 1

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
        self._watcher: Callable[[], None] | None = None
        self._together: int | None = None
        self.largest = 0
        self.bits = model.bits
        self.draws = model.draws
        self.threshold = model.threshold
        self.forwards = 0
        self.backwards = 0

    def logits(self, images: Tensor) -> Tensor:
        """The hash layer's values z, (B, K), for images (B, C, H, W) in `[0, 1]`; mean over D."""
        self._require(Access.GRADIENT, "outputs")
        return mean_of(self.draws, lambda: self._forward(images))

    def outputs(self, images: Tensor, alpha: float = 1.0) -> Tensor:
        """The outputs `tanh(alpha * z)`, (B, K); the mean over D draws of them, not of z."""
        if self.draws == 1:
            return torch.tanh(alpha * self.logits(images))
        self._require(Access.GRADIENT, "outputs")
        return mean_of(self.draws, lambda: torch.tanh(alpha * self._forward(images)))

    def expected_loss(
        self, loss: Callable[[Tensor], Tensor], images: Tensor, alpha: float = 1.0
    ) -> Tensor:
        """The mean over D draws of a loss of the outputs, (B,), with the mean of its gradients.

        The memory is that of one draw. With D > 1 the gradient reaches the images alone, and what
        made them; no other tensor that the loss uses.

        Args:
            loss: outputs `tanh(alpha * z)` (B, K) of one draw -> one value per query (B,), which
                depends on its own outputs alone; called D times.
            images: (B, C, H, W) in `[0, 1]`.
            alpha: scale of the tanh.

        Raises:
            PluginError: the loss gives no value per query.
        """
        if self.draws == 1:
            return expected_loss(1, lambda point: loss(self.outputs(point, alpha)), images)
        return self.expected_loss_of_logits(lambda logits: loss(torch.tanh(alpha * logits)), images)

    def expected_loss_of_logits(self, loss: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
        """As `expected_loss`, for a loss of the logits z, (B, K)."""
        if self.draws == 1:
            return expected_loss(1, lambda point: loss(self.logits(point)), images)
        self._require(Access.GRADIENT, "outputs")
        return expected_loss(self.draws, lambda point: loss(self._forward(point)), images)

    def drawn_logits(self, images: Tensor) -> Tensor:
        """The logits of every draw, (D, B, K)."""
        self._require(Access.GRADIENT, "outputs")
        return torch.stack([self._forward(images) for _ in range(self.draws)])

    def drawn_codes(self, images: Tensor) -> Tensor:
        """The codes of every draw, int8 (D, B, K) of +1 and -1."""
        return torch.stack([self.codes(images) for _ in range(self.draws)])

    @torch.no_grad()
    def codes(self, images: Tensor) -> Tensor:
        """The codes, int8 (B, K) of +1 and -1, of one draw."""
        self._require(Access.CODES, "codes")
        return codes_of(self._forward(images))

    @torch.no_grad()
    def distances(self, images: Tensor, codes: Tensor) -> Tensor:
        """How many bits each image's code is from a given one, int64 (B,), of one draw.

        Args:
            images: (B, C, H, W) in `[0, 1]`.
            codes: (B, K) of +1 and -1; a 0 is no bit's value, and counts as a difference.
        """
        self._require(Access.DISTANCES, "distances")
        return (codes_of(self._forward(images)) != codes).sum(dim=1)

    @torch.no_grad()
    def distances_from(self, images: Tensor) -> Callable[[Tensor], Tensor]:
        """What tells the distances of other images from these, whose codes stay unknown.

        One pass of these images, and one of the others at each call; of one draw each.

        Args:
            images: (B, C, H, W) in `[0, 1]`.

        Returns:
            Images of the same shape -> int64 (B,).
        """
        self._require(Access.DISTANCES, "distances")
        codes = codes_of(self._forward(images))
        return lambda others: self.distances(others, codes)

    @torch.no_grad()
    def ranked(self, images: Tensor, length: int) -> Tensor:
        """What a search engine answers: the nearest database images, nearest first; of one draw.

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

    def watched_by(self, watcher: Callable[[], None]) -> None:
        """Call something before every pass, so that others see how far it is; for the harness."""
        self._watcher = watcher

    def _forward(self, images: Tensor) -> Tensor:
        self.forwards += len(images)
        if self.forwards > self._limit:
            raise OutOfPassesError
        if self._watcher is not None:
            self._watcher()
        self.largest = max(self.largest, len(images))
        logits = self._logits(images)
        if logits.requires_grad:
            logits.register_hook(self._count_backward)
        return logits

    def ask_together(self, most: int) -> None:
        """Ask the model for at most so many images at a time, where memory has room for no more.

        What a pass keeps for its gradient is then computed once more when that is asked for, part
        by part and with the same draws: the memory is that of one part.
        """
        self._together = most

    def _logits(self, images: Tensor) -> Tensor:
        if self._together is None or len(images) <= self._together:
            return self._model.logits(images)
        parts = images.split(self._together)
        if not (torch.is_grad_enabled() and images.requires_grad):
            return torch.cat([self._model.logits(part) for part in parts])
        asked = self._model.logits
        return torch.cat([checkpoint(asked, part, use_reentrant=False) for part in parts])

    def _require(self, least: Access, what: str) -> None:
        if _ORDER.index(self._access) < _ORDER.index(least):
            raise PluginError(
                f"attack '{self._attack}' asks for the model's {what}, but its card declares "
                f"access '{self._access}'"
            )

    def _count_backward(self, gradient: Tensor) -> None:
        self.backwards += len(gradient)
