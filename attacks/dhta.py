"""P2P and DHTA: lead a query to the code of one image of the target, or of several at once."""

from __future__ import annotations

from dataclasses import dataclass

from typing_extensions import override

from hashbench.attacking import (
    AlphaSchedule,
    Goal,
    OutputLoss,
    QueryRandom,
    SignDescent,
    anchor_codes,
)
from hashbench.errors import UsageError
from hashbench.plugins import Aim, Draws, Knowledge, Norm, attack

_CITE = "Bai et al., Targeted Attack for Deep Hashing based Retrieval, ECCV 2020"
_PRESETS: dict[str, dict[str, object]] = {
    "saat": {"steps": 2000},
    "sigir": {"steps": 10, "alpha": "constant"},
}


@attack(
    "p2p",
    cite=_CITE,
    presets=_PRESETS,
    knowledge=(Knowledge.TRAINING,),
    aim=Aim.TARGETED,
    draws=Draws.EXPECTED_LOSS,
    norms=(Norm.LINF, Norm.L2),
)
@dataclass(frozen=True)
class P2P(SignDescent):
    """Pull the query's code to the code of one training image that has the target's labels.

    `dhta` with one code: see there.
    """

    random_start: bool = False
    alpha: AlphaSchedule = AlphaSchedule.TENTHS

    @override
    def loss(self, goal: Goal, rng: QueryRandom) -> OutputLoss:
        """`-mean_k(u_k a_k)`, a the anchor code."""
        anchors = anchor_codes(goal, self.count(), rng)
        return lambda outputs: -(outputs * anchors).mean(dim=1)

    def count(self) -> int:
        """How many codes an anchor is made of."""
        return 1


@attack(
    "dhta",
    cite=_CITE,
    presets=_PRESETS,
    knowledge=(Knowledge.TRAINING,),
    aim=Aim.TARGETED,
    draws=Draws.EXPECTED_LOSS,
    norms=(Norm.LINF, Norm.L2),
)
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
        anchors: codes per anchor; an even number leaves ties, whose bits are not pushed.
    """

    anchors: int = 9

    @override
    def __post_init__(self) -> None:
        super().__post_init__()
        if self.anchors < 1:
            raise UsageError(f"anchors must be 1 or more, found {self.anchors}")

    @override
    def count(self) -> int:
        """How many codes an anchor is made of."""
        return self.anchors
