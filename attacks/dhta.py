"""P2P and DHTA: lead a query to the code of one image of the target, or of several at once."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from hashbench.errors import UsageError
from hashbench.evaluation import (
    AlphaSchedule,
    AttackedModel,
    Goal,
    OutputLoss,
    QueryRandom,
    SignDescent,
    Threat,
)
from hashbench.plugins import Aim, Knowledge, attack

_CITE = "Bai et al., Targeted Attack for Deep Hashing based Retrieval, ECCV 2020"
_PRESETS: dict[str, dict[str, object]] = {
    "saat": {"steps": 2000},
    "sigir": {"steps": 10, "alpha": "constant"},
}


@dataclass(frozen=True)
class AnchoredGoal(Goal):
    """A goal with the codes that were drawn to lead to.

    Attributes:
        anchors: (B, K) of +1, -1, and 0 where a bit is left alone.
    """

    anchors: Tensor | None = None


@attack("p2p", cite=_CITE, presets=_PRESETS, knowledge=(Knowledge.TRAINING,), aim=Aim.TARGETED)
@dataclass(frozen=True)
class P2P(SignDescent):
    """Pull the query's code to the code of one training image that has the target's labels.

    `dhta` with one code: see there.

    Attributes:
        steps: number of updates.
        step_size: change of every pixel in one update, in `[0, 1]`; in the first one if it decays.
        random_start: begin at a uniform point of the ball instead of at the image.
        alpha: scale of the tanh over the steps.
        rule: what a step takes the sign of: bim (the gradient), mi, ni, si-ni, vmi or di.
        step_schedule: how the step size changes over the steps.
        momentum: share of the accumulated gradient that is kept (mi, ni, si-ni, vmi).
        copies: images `x / 2^i` per step (si-ni).
        samples: neighbours per step (vmi).
        neighbourhood: how far the neighbours lie, in radii of the ball (vmi).
        resize_probability: how often an image is resized (di).
        resize_ratio: the least share of its side that an image is resized to (di).
    """

    random_start: bool = False
    alpha: AlphaSchedule = AlphaSchedule.TENTHS

    def perturb(
        self,
        model: AttackedModel,
        images: Tensor,
        goal: Goal,
        threat: Threat,
        rng: QueryRandom,
    ) -> Tensor:
        """Return perturbed images; see `Attack.perturb`."""
        drawn = AnchoredGoal(**vars(goal), anchors=anchor_codes(goal, self.count(), rng))
        return super().perturb(model, images, drawn, threat, rng)

    def loss(self, goal: Goal) -> OutputLoss:
        """`-mean_k(u_k a_k)`, a the anchor code."""
        if not isinstance(goal, AnchoredGoal) or goal.anchors is None:
            raise UsageError("the loss of p2p and dhta needs an AnchoredGoal with anchors")
        anchors = goal.anchors
        return lambda outputs: -(outputs * anchors).mean(dim=1)

    def count(self) -> int:
        """How many codes an anchor is made of."""
        return 1


@attack("dhta", cite=_CITE, presets=_PRESETS, knowledge=(Knowledge.TRAINING,), aim=Aim.TARGETED)
@dataclass(frozen=True)
class DHTA(P2P):
    """Pull the query's code to the anchor code of training images that have the target's labels.

    Minimises `-mean_k(u_k a_k)`. The anchor `a = sign(sum of the codes)` is drawn for each query
    from the training images whose label row *equals* the target's, as every script does (to share a
    label is not enough). A query without a target, or whose target no training image has, stays as
    it is.

    As in SAAT's re-implementation: sign steps of 1/255 from the image, alpha by tenths; preset
    `saat` takes its 2,000 steps, `sigir` the 10 of SIGIR'21's, with alpha 1. What differs:

    - All scripts draw from the database's codes; the training codes are what an attacker has here.
    - SAAT, SIGIR'21 and ProS-GAN draw with replacement, DHTA's own script without, as here.
    - The ball is the run's: SAAT takes 0.032, not 8/255; DHTA's own script 0.032 of the
      *normalised* image, about 1.8/255, and steps of `g / ||g||_2`; ProS-GAN's steps are the raw
      gradient of a batch mean, which depends on the batch.

    Attributes:
        steps: number of updates.
        step_size: change of every pixel in one update, in `[0, 1]`; in the first one if it decays.
        random_start: begin at a uniform point of the ball instead of at the image.
        alpha: scale of the tanh over the steps.
        rule: what a step takes the sign of: bim (the gradient), mi, ni, si-ni, vmi or di.
        step_schedule: how the step size changes over the steps.
        momentum: share of the accumulated gradient that is kept (mi, ni, si-ni, vmi).
        copies: images `x / 2^i` per step (si-ni).
        samples: neighbours per step (vmi).
        neighbourhood: how far the neighbours lie, in radii of the ball (vmi).
        resize_probability: how often an image is resized (di).
        resize_ratio: the least share of its side that an image is resized to (di).
        anchors: codes per anchor; an even number leaves ties, whose bits are not pushed.
    """

    anchors: int = 9

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.anchors < 1:
            raise UsageError(f"anchors must be 1 or more, found {self.anchors}")

    def count(self) -> int:
        """How many codes an anchor is made of."""
        return self.anchors


def anchor_codes(goal: Goal, count: int, rng: QueryRandom) -> Tensor:
    """An anchor code for each query, (B, K).

    Args:
        goal: targets, training codes and labels.
        count: codes per anchor, drawn without replacement; with, where the target has fewer.
        rng: for the draws, of which a query takes equally many whatever its target.
    """
    targets, labels = goal.target_labels, goal.train_labels
    lengths = targets.sum(dim=1, keepdim=True)
    shared = targets @ labels.T
    same = (shared == lengths) & (shared == labels.sum(dim=1)) & (lengths > 0)
    # The images of the target in random order, before all others.
    keys = rng.uniform((len(labels),)).masked_fill(~same, torch.inf)
    order = keys.topk(min(count, len(labels)), dim=1, largest=False).indices
    found = same.sum(dim=1, keepdim=True)
    place = torch.arange(count, device=targets.device).expand(len(targets), count)
    again = (rng.uniform((count,)) * found).long().clamp(max=found - 1).clamp(min=0)
    drawn = order.gather(1, torch.where(found < count, again, place.clamp(max=order.shape[1] - 1)))
    return anchor_of(goal.train_codes[drawn]) * (found > 0)


def anchor_of(codes: Tensor) -> Tensor:
    """`sign(sum of the codes)`, 0 where they tie: (..., n, K) -> (..., K)."""
    return codes.sum(dim=-2).sign()
