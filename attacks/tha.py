"""THA: lead a query to the prototype code of its target, which a network has learned."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from typing_extensions import override

from hashbench.attacking import (
    AttackerSetup,
    Goal,
    NetworkSizes,
    OutputLoss,
    PrototypeTargets,
    QueryRandom,
    SignDescent,
    prototype_loss,
    prototype_network,
    target_rows,
)
from hashbench.errors import UsageError
from hashbench.plugins import Aim, Draws, Knowledge, Norm, TrainedAttack, attack


@attack(
    "tha",
    cite="Wang et al., Targeted Attack and Defense for Deep Hashing, SIGIR 2021",
    presets={
        "sigir": {"training_steps": 30_000, "softplus": False},
        "saat": {"training_steps": 30_000, "training_batch": 128, "alpha": "tenths"},
    },
    knowledge=(Knowledge.TRAINING,),
    aim=Aim.TARGETED,
    draws=Draws.EXPECTED_LOSS,
    norms=(Norm.LINF, Norm.L2),
)
@dataclass(frozen=True)
class THA(SignDescent, TrainedAttack):
    """Pull the query's code to the prototype code that a network gives for the target's labels.

    Minimises `-mean_k(u_k p_k)`, p the signs of the prototype network's outputs. The network is
    trained once per model on the attacked model's training codes: random label rows of the training
    set (both scripts: of the database), circle loss and quantisation (`prototype_loss`), Adam with
    betas (0.5, 0.999), rate divided by 10 at half and at three quarters of the steps. A query
    without a target stays as it is.

    The scripts train for 30,000 steps: presets `sigir`, the authors' (alpha 1, no softplus), and
    `saat` (alpha by tenths; 128 label rows per update, its default batch since May 2022).

    Attributes:
        training_steps: updates of the prototype network.
        training_batch: label rows per update.
        learning_rate: of the network's Adam.
        softplus: wrap the circle loss, as SAAT does.
        square_mask: drop the lower left triangle of the batch x train set similarities, as both
            scripts do.
    """

    random_start: bool = False
    training_steps: int = 400
    training_batch: int = 32
    learning_rate: float = 1e-4
    softplus: bool = True
    square_mask: bool = True

    @override
    def __post_init__(self) -> None:
        super().__post_init__()
        check_training(self.training_steps, self.training_batch, self.learning_rate)

    @override
    def network(self, sizes: NetworkSizes) -> nn.Module:
        """The prototype network, label row (B, classes) -> prototype (B, K)."""
        return prototype_network(sizes.classes, sizes.bits)

    @override
    def train(self, network: nn.Module, setup: AttackerSetup) -> None:
        targets = PrototypeTargets(target_rows(setup.labels), setup.labels)
        optimizer = torch.optim.Adam(
            network.parameters(), lr=self.learning_rate, betas=(0.5, 0.999), fused=True
        )
        milestones = [self.training_steps // 2, self.training_steps * 3 // 4]
        schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, milestones, gamma=0.1)
        for step in range(self.training_steps):
            labels, sides = targets.draw(
                self.training_batch, setup.generator, square_mask=self.square_mask
            )
            loss = prototype_loss(
                network(labels),
                setup.codes,
                sides,
                softplus=self.softplus,
                square_mask=self.square_mask,
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            setup.progress(step + 1, self.training_steps)

    @override
    def training_passes(self, images: int) -> int:  # codes are all it trains on
        """None through the attacked model."""
        return 0

    @override
    def loss(self, goal: Goal, rng: QueryRandom) -> OutputLoss:
        """`-mean_k(u_k p_k)`, p the prototype code."""
        targets = goal.target_labels
        prototypes = goal.trained(targets).sign() * targets.any(dim=1, keepdim=True)
        return lambda outputs: -(outputs * prototypes).mean(dim=1)


def check_training(steps: int, batch: int, learning_rate: float) -> None:
    """Refuse what no training can be.

    Raises:
        UsageError: naming the parameter and its value.
    """
    if steps < 0:
        raise UsageError(f"training_steps must be 0 or more, found {steps}")
    if batch < 1:
        raise UsageError(f"training_batch must be 1 or more, found {batch}")
    if not learning_rate > 0:  # written so that NaN is refused too
        raise UsageError(f"learning_rate must be above 0, found {learning_rate}")
