"""HAG: the label-free attack that drives every bit away from the clean code."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from typing_extensions import override

from hashbench.attacking import (
    AlphaSchedule,
    AttackedModel,
    Goal,
    MomentumStep,
    OutputLoss,
    QueryRandom,
    Threat,
    check_descent,
    descend,
)
from hashbench.plugins import Attack, Draws, Norm, attack


@attack(
    "hag",
    cite="Yang et al., HAG, IEEE Trans. Cybernetics 2018",
    presets={
        "published": {"steps": 2000, "learning_rate": 100 / 128},
        "sigir": {
            "steps": 2000,
            "learning_rate": 1.0,
            "momentum": 0.0,
            "balance": 0.0,
            "alpha": "constant",
            "all_bits": True,
            "second_tanh": True,
        },
    },
    knowledge=(),
    draws=Draws.EXPECTED_LOSS,
    norms=(Norm.LINF, Norm.L2),
)
@dataclass(frozen=True)
class HAG(Attack):
    """Drive the code away from the clean code, bit by bit, without any label.

    Minimises `(sum_k m_k u_k h_k / sum_k m_k + 1)^2 + beta * (mean_k m_k u_k)^2`, h the clean
    output and m the bits that are not flipped yet: `|u_k - sign h_k| <= 1 + t`. Descent with
    momentum on the raw gradient, from the image itself. No official code exists, and two
    re-implementations differ. The defaults are SAAT's terms. Its script runs 2,000 steps at rate
    100 on the mean of a batch of 128, which is rate 0.78125 for each query: preset `published`.
    (Until May 2022 the batch was 32, and a query's rate 3.125. The last batch of a test set is
    smaller, so that its queries take longer steps.)

    Preset `sigir` is that of the authors of ATRDH (Wang et al., SIGIR 2021), as it stands:
    `(sum_k u_k h_k / sum_k m_k + 1)^2`, all bits over the number of unflipped ones, u and h sent
    through a tanh once more, plain descent at rate 1, no alpha schedule. Its minimum comes before
    all bits are flipped, and past it the gradient points back. Their file's number of steps is 0,
    no attack at all; the preset takes SAAT's 2,000.

    Both scripts average over the batch before they take the raw gradient, so their step shrinks as
    the batch grows; SIGIR's even pools its sums, so that a query's step depends on its neighbours.
    Here the loss and the rate are each query's own, whatever the batch.

    Attributes:
        steps: number of updates.
        learning_rate: step on the gradient of one query's loss.
        momentum: of the descent.
        margin: t.
        balance: beta.
        alpha: scale of the tanh over the steps.
        all_bits: sum the agreement over all bits, not the unflipped ones alone.
        second_tanh: send clean and perturbed outputs through a tanh once more.
    """

    steps: int = 100
    learning_rate: float = 100.0
    momentum: float = 0.9
    margin: float = 0.5
    balance: float = 1.0
    alpha: AlphaSchedule = AlphaSchedule.TENTHS
    all_bits: bool = False
    second_tanh: bool = False

    def __post_init__(self) -> None:
        check_descent(self.steps, learning_rate=self.learning_rate)

    def loss(self, clean: Tensor) -> OutputLoss:
        """What is minimised.

        Args:
            clean: h, the outputs at the clean images, (B, K), after the second tanh if any.

        Returns:
            Outputs u (B, K), after the second tanh too -> one loss per query (B,).
        """
        return lambda outputs: hag_loss(
            outputs, clean, margin=self.margin, balance=self.balance, all_bits=self.all_bits
        )

    @override
    def perturb(
        self,
        model: AttackedModel,
        images: Tensor,
        goal: Goal,  # label-free
        threat: Threat,
        rng: QueryRandom,  # deterministic
    ) -> Tensor:
        clean = self._sent_on(model.outputs(images)).detach()
        loss = self.loss(clean)

        def agreement(point: Tensor, step: int) -> Tensor:
            return model.expected_loss(
                lambda outputs: loss(self._sent_on(outputs)),
                point,
                self.alpha.at(step, self.steps),
            )

        return descend(
            agreement,
            images,
            threat,
            steps=self.steps,
            update=MomentumStep(self.learning_rate, self.momentum),
        )

    @override
    def passes(self) -> int:
        """The steps, and a look at the clean image."""
        return self.steps + 1

    def _sent_on(self, outputs: Tensor) -> Tensor:
        return torch.tanh(outputs) if self.second_tanh else outputs


def hag_loss(
    outputs: Tensor, clean: Tensor, *, margin: float, balance: float, all_bits: bool = False
) -> Tensor:
    """One loss per query, (B,).

    Args:
        outputs: u of the perturbed images, (B, K).
        clean: h of the clean images, (B, K), not signed.
        margin: t: a bit counts as flipped when `|u - sign h| > 1 + t`.
        balance: beta, weight of the balance term.
        all_bits: SIGIR'21's sum over all bits, over the number of unflipped ones, at least 1. The
            script's loss of a batch is this loss of all its bits as one query's.
    """
    unflipped = unflipped_bits(outputs, clean, margin)
    products = outputs * clean
    if all_bits:
        # The script counts below the bound only, where SAAT's sign gives one half on it.
        agreement = products.sum(dim=1) / (unflipped == 1).sum(dim=1).clamp(min=1)
    else:
        agreement = (unflipped * products).sum(dim=1) / (unflipped.sum(dim=1) + 1e-8)
    return (agreement + 1).square() + balance * (unflipped * outputs).mean(dim=1).square()


def unflipped_bits(outputs: Tensor, clean: Tensor, margin: float) -> Tensor:
    """m, (B, K): 1 while `|u - sign h| < 1 + margin`, 0 beyond, 1/2 on it; without a gradient."""
    room = (1 + margin) - (outputs.detach() - clean.sign()).abs()
    return (room.sign() + 1) / 2
