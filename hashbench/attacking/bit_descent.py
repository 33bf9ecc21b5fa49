"""What attacks share that turn just as many bits as a match needs, the cheapest first."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor
from typing_extensions import override

from hashbench.attacking.attacked_model import AttackedModel
from hashbench.attacking.contract import Attack
from hashbench.attacking.descent import check_descent, gradient_of, steepest_step
from hashbench.attacking.goal import Goal
from hashbench.attacking.randomness import QueryRandom
from hashbench.attacking.step_rules import StepSchedule
from hashbench.attacking.threat import Threat
from hashbench.errors import UsageError
from hashbench.hashing.model import codes_of

_SHARE: Final = 8
"""Where no threshold is known, so many bits to one that differs."""


@dataclass(frozen=True)
class BitDescent(Attack):
    """Descend on the cheapest margins until enough bits are turned; then a query stays as it is.

    With the code c that the query shall leave, bit k has the margin `m_k = c_k z_k / s`, s the mean
    of the query's own `|z|` at the start; it is turned where the code's bit is no longer c_k. Of
    the n smallest margins at each point, n the bits that have to turn and some spare ones, the loss
    is `sum log(1 + max(m_k + slack, 0) / softness)`: a bit that is near pulls more than one that is
    far, and one that is turned, by the slack, no more. A threshold that moves with the image is
    part of z, and so of the gradient. Steps shrink by the half cosine, from the image on.

    Attributes:
        steps: number of updates, and of passes.
        first_step: size of the first, as a share of the radius.
        spare: how many margins are lowered beside those that have to turn.
        slack: by how much a turned bit is pushed on, so that rounding does not turn it back.
        softness: the margin at which a bit pulls half as much as one that turns.
    """

    steps: int = 80
    first_step: float = 0.25
    spare: int = 4
    slack: float = 0.005
    softness: float = 0.1

    def __post_init__(self) -> None:
        check_descent(self.steps, first_step=self.first_step, softness=self.softness)
        if self.spare < 0:
            raise UsageError(f"spare must be 0 or more, found {self.spare}")
        if not 0 <= self.slack < float("inf"):  # written so that NaN is refused too
            raise UsageError(f"slack must be a number from 0, found {self.slack}")

    @abstractmethod
    def left(self, goal: Goal, rng: QueryRandom) -> Tensor | None:
        """The codes to leave, (B, K) of +1, -1, and 0 for a query that stays; `None`: their own.

        Args:
            goal: what the attacker knows.
            rng: one stream per query.
        """

    @abstractmethod
    def needed(self, bits: int, threshold: int) -> int:
        """How many bits have to differ from the code that is left.

        Args:
            bits: K.
            threshold: T, the distance up to which two pictures match.
        """

    @override
    def perturb(
        self,
        model: AttackedModel,
        images: Tensor,
        goal: Goal,
        threat: Threat,
        rng: QueryRandom,
    ) -> Tensor:
        codes = self.left(goal, rng)
        needed = min(self.needed(model.bits, match_threshold(model)), model.bits)
        sizes = StepSchedule.COSINE.sizes(self.first_step * threat.radius, self.steps)
        update = steepest_step(threat.norm, sizes)
        answer = images.clone()
        live = torch.arange(len(images), device=images.device)
        inside, point, margins = threat.projection(images), images, _Margins(self, needed, codes)
        for step in range(self.steps):
            margins.look()
            gradient = gradient_of(
                lambda at, _: model.expected_loss_of_logits(margins.loss, at), point, step
            )
            going = ~margins.enough
            if not bool(going.all()):
                answer[live[~going]] = point[~going]
                live, point, gradient = live[going], point[going], gradient[going]
                margins.keep(going)
                if not len(live):
                    break
                inside = threat.projection(images[live])
            point = inside(update(point, gradient))
        answer[live] = point
        return answer

    @override
    def reach_of_steps(self, radius: float, images: int) -> float:
        """The sum of its steps' sizes, which are shares of the radius."""
        return StepSchedule.COSINE.total(self.first_step * radius, self.steps)


def match_threshold(model: AttackedModel) -> int:
    """T, the distance up to which two pictures match; where none is known, an eighth of K."""
    return model.bits // _SHARE if model.threshold is None else model.threshold


class _Margins:
    """The margins of the queries that still move.

    Attributes:
        enough: (B,), at the last look, the queries of which enough bits are turned in every draw.
    """

    enough: Tensor

    def __init__(self, attack: BitDescent, needed: int, codes: Tensor | None) -> None:
        """Wait for the first look, which is at the clean images.

        Args:
            attack: its parameters.
            needed: how many bits have to differ.
            codes: to be left; the clean ones where there are none.
        """
        self._attack = attack
        self._needed = needed
        self._codes = codes
        self._scale: Tensor | None = None
        self._first = True

    def look(self) -> None:
        """Begin to look at a point; each of its draws follows as a call of `loss`."""
        self._first = True

    def loss(self, logits: Tensor) -> Tensor:
        """One loss per query, (B,), of the logits (B, K) of a draw."""
        attack, values = self._attack, logits.detach()
        found = codes_of(values)
        if self._codes is None:
            self._codes = found.to(logits.dtype)
        if self._scale is None:
            tiny = torch.finfo(logits.dtype).tiny
            self._scale = values.abs().mean(dim=1, keepdim=True).clamp(min=tiny)
        enough = (found != self._codes).sum(dim=1) >= self._needed
        self.enough = enough if self._first else self.enough & enough
        self._first = False
        margins = logits * (self._codes / self._scale)
        count = min(self._needed + attack.spare, margins.shape[1])
        cheapest = margins.topk(count, dim=1, largest=False, sorted=False).values
        return (cheapest + attack.slack).clamp(min=0).div(attack.softness).log1p().sum(dim=1)

    def keep(self, rows: Tensor) -> None:
        """Go on with some of the queries, bool (B,)."""
        if self._codes is not None and self._scale is not None:
            self._codes, self._scale = self._codes[rows], self._scale[rows]
