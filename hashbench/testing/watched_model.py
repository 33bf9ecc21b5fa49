"""The attacked model of a trial, which notes how an attack deals with draws."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor
from typing_extensions import override

from hashbench.attacking.attacked_model import AttackedModel
from hashbench.hashing.model import HashModel
from hashbench.plugins.card import Access, Draws


class WatchedModel(AttackedModel):
    """An attacked model that keeps what was asked of it over draws.

    Attributes:
        looks: `EXPECTED_LOSS` where an expected loss was asked for, `MEAN_SCORE` where the codes or
            logits of every draw were, or ranked lists as often as there are draws.
    """

    def __init__(
        self, model: HashModel, attack: str, access: Access, *, database_codes: Tensor | None
    ) -> None:
        """See `AttackedModel`."""
        super().__init__(model, attack, access, database_codes=database_codes)
        self.looks: set[Draws] = set()
        self._lists = 0

    @override
    def expected_loss(
        self, loss: Callable[[Tensor], Tensor], images: Tensor, alpha: float = 1.0
    ) -> Tensor:
        self.looks.add(Draws.EXPECTED_LOSS)
        return super().expected_loss(loss, images, alpha)

    @override
    def expected_loss_of_logits(self, loss: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
        self.looks.add(Draws.EXPECTED_LOSS)
        return super().expected_loss_of_logits(loss, images)

    @override
    def drawn_logits(self, images: Tensor) -> Tensor:
        self.looks.add(Draws.MEAN_SCORE)
        return super().drawn_logits(images)

    @override
    def drawn_codes(self, images: Tensor) -> Tensor:
        self.looks.add(Draws.MEAN_SCORE)
        return super().drawn_codes(images)

    @override
    def ranked(self, images: Tensor, length: int) -> Tensor:
        self._lists += 1
        if self._lists >= self.draws:
            self.looks.add(Draws.MEAN_SCORE)
        return super().ranked(images, length)
