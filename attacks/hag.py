"""HAG: the label-free attack that drives every bit away from the clean code."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from hashbench.errors import UsageError
from hashbench.evaluation import (
    AlphaSchedule,
    AttackedModel,
    Goal,
    MomentumStep,
    QueryRandom,
    Threat,
    descend,
)
from hashbench.plugins import Attack, attack


@attack(
    "hag",
    cite="Yang et al., HAG, IEEE Trans. Cybernetics 2018",
    presets={"published": {"steps": 2000}},
    knowledge=(),
)
@dataclass(frozen=True)
class HAG(Attack):
    """Drive the code away from the clean code, bit by bit, without any label.

    Minimises `(sum_k m_k u_k h_k / sum_k m_k + 1)^2 + beta * (mean_k m_k u_k)^2`, h the clean
    output and m the bits that are not flipped yet: `|u_k - sign h_k| <= 1 + t`. Descent with
    momentum on the raw gradient, from the image itself. No official code exists; this is SAAT's
    re-implementation, which runs 2,000 steps (preset `published`).

    SAAT averages over the batch before it takes the raw gradient, so its step shrinks as the batch
    grows. Here the rate applies to each query's own loss, whatever the batch, as SAAT's does at
    batch size 1.

    Attributes:
        steps: number of updates.
        learning_rate: step on the gradient of one query's loss.
        momentum: of the descent.
        margin: t.
        balance: beta.
        alpha: scale of the tanh over the steps.
    """

    steps: int = 100
    learning_rate: float = 100.0
    momentum: float = 0.9
    margin: float = 0.5
    balance: float = 1.0
    alpha: AlphaSchedule = AlphaSchedule.TENTHS

    def __post_init__(self) -> None:
        if self.steps < 0 or self.learning_rate <= 0:
            raise UsageError(
                f"steps must be 0 or more and learning_rate above 0, "
                f"found {self.steps} and {self.learning_rate}"
            )

    def perturb(
        self,
        model: AttackedModel,
        images: Tensor,
        goal: Goal,  # noqa: ARG002 - label-free
        threat: Threat,
        rng: QueryRandom,  # noqa: ARG002 - deterministic
    ) -> Tensor:
        """Return perturbed images; see `Attack.perturb`."""
        clean = model.outputs(images).detach()

        def agreement(point: Tensor, step: int) -> Tensor:
            outputs = model.outputs(point, self.alpha.at(step, self.steps))
            return hag_loss(outputs, clean, margin=self.margin, balance=self.balance)

        return descend(
            agreement,
            images,
            threat,
            steps=self.steps,
            update=MomentumStep(self.learning_rate, self.momentum),
        )


def hag_loss(outputs: Tensor, clean: Tensor, *, margin: float, balance: float) -> Tensor:
    """One loss per query, (B,).

    Args:
        outputs: u of the perturbed images, (B, K).
        clean: h of the clean images, (B, K), not signed.
        margin: t: a bit counts as flipped when `|u - sign h| > 1 + t`.
        balance: beta, weight of the balance term.
    """
    room = (1 + margin) - (outputs.detach() - clean.sign()).abs()
    unflipped = (room.sign() + 1) / 2
    agreement = (unflipped * outputs * clean).sum(dim=1) / (unflipped.sum(dim=1) + 1e-8)
    return (agreement + 1).square() + balance * (unflipped * outputs).mean(dim=1).square()
