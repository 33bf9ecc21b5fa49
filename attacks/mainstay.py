"""Mainstay: SAAT's attack, which spends its push on the bits that are not turned yet."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from typing_extensions import override

from hashbench.attacking import AlphaSchedule, Goal, OutputLoss, QueryRandom, SignDescent
from hashbench.plugins import Aim, Draws, Norm, attack
from hashbench.retrieval import Weighting, center_codes


@attack(
    "mainstay",
    cite="Yuan et al., SAAT, IEEE TIFS 2023",
    presets={"bim": {"random_start": False}, "targeted": {"targeted": True}},
    draws=Draws.EXPECTED_LOSS,
    norms=(Norm.LINF, Norm.L2),
)
@dataclass(frozen=True)
class Mainstay(SignDescent):
    """Push the query's code away from its mainstay code, hardest where bits still agree.

    Minimises `sum_k w_k (s_k + 2) s_k / sum_k w_k`, `s_k = u_k m_k`, over the bits that are not
    turned yet, `w_k = (s_k > -0.5)`. The mainstay code m is the center code whose relevant training
    codes are weighed by the cosine of the label rows; it comes from the attacked model's own
    training codes. Defaults are the published ones (`adv_attack.py` with its generator PGD); preset
    `bim` is its generator BIM, which starts at the image.

    SAAT divides by the counted bits of the whole batch, here each query divides by its own. Both
    differ by a positive factor per query, so the sign of every pixel's gradient, which is all that
    a step uses, is the same.

    A bit on which relevant and other codes balance is 0 here and feels no push. SAAT sums in
    float32 with rounded weights, so that in place of 0 it has +1 or -1 by rounding noise, and
    pushes. That is no rare case: on `fashion` with `csq`, whose class centers agree in two of 32
    bits, it is 6 % of the bits.

    Targeted (preset `targeted`), m is the mainstay code of the target's labels, and
    `-sum_k w_k (s_k + 2) s_k / sum_k w_k`, `w_k = (s_k < 0.5)`, pulls to it. That is the published
    loss to the letter: its gradient `-2 (s_k + 1)` is 0 at `s_k = -1`, weakest where a bit is
    farthest from its target. A query without a target has no code to go to and stays where it
    starts.

    Attributes:
        targeted: pull to the target's mainstay code instead of pushing away from the query's own.
    """

    alpha: AlphaSchedule = AlphaSchedule.TENTHS
    targeted: bool = False

    @override
    def aim(self) -> Aim:
        return Aim.TARGETED if self.targeted else Aim.UNTARGETED

    @override
    def loss(self, goal: Goal, rng: QueryRandom) -> OutputLoss:
        """`mainstay_loss` to the mainstay codes of the queries, or of their targets."""
        codes = mainstay_codes(goal)
        return lambda outputs: mainstay_loss(outputs, codes, targeted=self.targeted)


def mainstay_codes(goal: Goal) -> Tensor:
    """The mainstay codes of the queries, float32 (B, K) of +1, -1, and 0 where undecided.

    Those of the targets for a targeted attack, all 0 for a query without one.
    """
    aimed = goal.aim is Aim.TARGETED
    labels = goal.target_labels if aimed else goal.labels
    codes = center_codes(labels, goal.train_codes, goal.train_labels, weighting=Weighting.COSINE)
    found = torch.from_numpy(codes).to(goal.train_codes)
    return found * labels.any(dim=1, keepdim=True) if aimed else found


def mainstay_loss(outputs: Tensor, codes: Tensor, *, targeted: bool = False) -> Tensor:
    """One loss per query, (B,): the mean of the terms that count; 0 where none does.

    Arguments as for `mainstay_terms`.
    """
    terms, counted = mainstay_terms(outputs, codes, targeted=targeted)
    return terms.sum(dim=1) / counted.sum(dim=1).clamp(min=1)


def mainstay_terms(
    outputs: Tensor, codes: Tensor, *, targeted: bool = False
) -> tuple[Tensor, Tensor]:
    """What the loss averages: each bit's term, 0 where it does not count, and which count.

    Args:
        outputs: u of the perturbed images, (B, K).
        codes: m, (B, K).
        targeted: pull towards m instead of pushing away. The published term then has no gradient at
            `s = -1`, where a bit is farthest from its target.

    Returns:
        `w (s + 2) s` and `w`, both (B, K), with `s = u m` and `w = (s > -0.5)`; targeted,
        `-w (s + 2) s` and `w = (s < 0.5)`.
    """
    agreement = outputs * codes
    counted = (agreement < 0.5 if targeted else agreement > -0.5).to(outputs.dtype)
    terms = counted * (agreement + 2) * agreement
    return (-terms if targeted else terms), counted
