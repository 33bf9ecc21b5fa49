"""An attack that breaks its contract, so that its cells fail."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from hashbench.plugins import Attack, attack


@attack("broken")
@dataclass(frozen=True)
class Broken(Attack):
    """Leaves the ball of the radius."""

    def perturb(self, model: Any, images: Tensor, goal: Any, threat: Any, rng: Any) -> Tensor:  # noqa: ARG002
        """Return images that are none."""
        return images + 2
