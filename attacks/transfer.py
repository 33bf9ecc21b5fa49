"""Transfer: the center attack on a model of the attacker's own; the attacked one is never asked."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from typing_extensions import override

from hashbench.attacking import (
    AttackedModel,
    Goal,
    OutputLoss,
    QueryRandom,
    SignDescent,
    StepRule,
    Threat,
)
from hashbench.plugins import Access, Norm, Surrogate, attack


@attack(
    "transfer",
    cite="Xie et al., DI-FGSM, CVPR 2019",
    access=Access.NONE,
    norms=(Norm.LINF, Norm.L2),
)
@dataclass(frozen=True)
class Transfer(SignDescent):
    """Push a surrogate's code away from the surrogate's center code, and hand the image over.

    The surrogate is undefended and trained on the same training set from another seed; nothing of
    the attacked model is used, neither its gradients nor its codes. What is minimised is
    `mean_k(u_k * c_k)`, as in `pgd-hamming`, with the surrogate's u and c.

    Rule `di` is the default because of all rules with one gradient a step it transfers best here.

    Attributes:
        backbone: of the surrogate; the attacked model's where there is none.
        hashing_loss: of the surrogate, likewise.
    """

    rule: StepRule = StepRule.DI
    backbone: str | None = None
    hashing_loss: str | None = None

    @override
    def surrogate(self) -> Surrogate:
        return Surrogate(self.backbone, self.hashing_loss)

    @override
    def perturb(
        self,
        model: AttackedModel,  # never asked
        images: Tensor,
        goal: Goal,
        threat: Threat,
        rng: QueryRandom,
    ) -> Tensor:
        own = goal.surrogate
        return super().perturb(own.model, images, own.goal, threat, rng)

    @override
    def loss(self, goal: Goal, rng: QueryRandom) -> OutputLoss:
        centers = goal.center_codes
        return lambda outputs: (outputs * centers).mean(dim=1)
