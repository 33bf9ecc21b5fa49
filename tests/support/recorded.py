"""An attack whose answers are kept."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from hashbench.plugins import Aim, Attack, Surrogate


class Recorded(Attack):
    """Another attack, with every answer kept, a batch each."""

    def __init__(self, inner: Attack) -> None:
        self.card = inner.card  # type: ignore[misc]  # one object plays another's part
        self.inner = inner
        self.seen: list[Tensor] = []

    def perturb(self, *given: Any) -> Tensor:
        perturbed = self.inner.perturb(*given)
        self.seen.append(perturbed)
        return perturbed

    def aim(self) -> Aim:
        return self.inner.aim()

    def surrogate(self) -> Surrogate | None:
        return self.inner.surrogate()

    def passes(self) -> int:
        return self.inner.passes()

    @property
    def images(self) -> Tensor:
        """The answers to all queries, in order."""
        return torch.cat(self.seen)
