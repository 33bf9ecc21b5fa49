"""Prototype codes: a network from label rows to codes, and what it is trained on. Torch alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from hashbench.hashing.counter_random import CounterRandom
from hashbench.hashing.model import codes_of
from hashbench.hashing.sending import sent


@dataclass(frozen=True)
class Sides:
    """Which pairs of a batch and the train set a circle loss takes: flat positions in (B, N).

    Attributes:
        near: int64, rising: pairs that share a label.
        far: the same of the others.
    """

    near: Tensor
    far: Tensor


class PrototypeTargets:
    """Random target labels, and their relevance to the train set.

    Both are found on the host, which drew the targets: how many pairs there are on a side is then
    known without waiting for the device.
    """

    def __init__(self, rows: Tensor, labels: Tensor) -> None:
        """Keep copies on the host.

        Args:
            rows: what is drawn from, (rows, classes) of 0 and 1.
            labels: of the train set, (N, classes).
        """
        self._device = rows.device
        self._rows = rows.cpu()
        self._labels: NDArray[np.float32] = labels.cpu().numpy()

    def draw(
        self, count: int, generator: torch.Generator, *, square_mask: bool
    ) -> tuple[Tensor, Sides]:
        """So many target label rows, (count, classes), and the pairs of both sides.

        Args:
            count: B.
            generator: of the draw.
            square_mask: as for `circle_loss`.
        """
        random = CounterRandom.drawn_from(generator)
        drawn = random.integers((count,), len(self._rows))[0]
        labels = self._rows[drawn]
        positive = labels.numpy() @ self._labels.T > 0
        kept = np.ones_like(positive)
        if square_mask:
            kept = np.triu(kept, k=1)
        near, far = (
            sent(torch.from_numpy(np.flatnonzero(side)), self._device)
            for side in (kept & positive, kept & ~positive)
        )
        return sent(labels, self._device), Sides(near, far)


def prototype_network(
    classes: int, bits: int, generator: torch.Generator | None = None
) -> nn.Sequential:
    """Label row (B, classes) -> prototype (B, bits) in (-1, 1).

    The first three layers give the 512 features that ProS-GAN decodes (Wang et al., CVPR 2021).

    Args:
        classes: label columns.
        bits: code length K.
        generator: of the weights; torch's process-wide one by default.
    """
    network = nn.Sequential(
        nn.Linear(classes, 4096), nn.ReLU(), nn.Linear(4096, 512), nn.Linear(512, bits), nn.Tanh()
    )
    for layer in network:
        if isinstance(layer, nn.Linear):
            # PyTorch's own default, but from our generator instead of the process-wide one.
            bound = layer.in_features**-0.5
            nn.init.uniform_(layer.weight, -bound, bound, generator=generator)
            nn.init.uniform_(layer.bias, -bound, bound, generator=generator)
    return network


def circle_loss(
    similarity: Tensor, positive: Tensor | Sides, *, softplus: bool, square_mask: bool
) -> Tensor:
    """Circle loss (Sun et al., CVPR 2020) as both ATRDH scripts code it: gamma 1, no margin.

    Args:
        similarity: (B, N) of prototypes to train codes, in [-1, 1].
        positive: (B, N), 1 where a target label shares a class with the train item; or the pairs of
            both sides, if they are known, with which no device is waited for.
        softplus: SAAT's variant, else SIGIR's.
        square_mask: keep only the part above the diagonal; pairs that are known are kept already.
    """
    if isinstance(positive, Sides):
        flat = similarity.flatten()
        near, far = flat[positive.near], flat[positive.far]
    else:
        kept = torch.ones_like(similarity, dtype=torch.bool)
        if square_mask:
            kept = kept.triu(diagonal=1)
        near = similarity[kept & (positive > 0)]
        far = similarity[kept & (positive == 0)]
    pull = -(2 - near.detach()).clamp(min=0) * near
    push = (far.detach() + 2).clamp(min=0) * far
    if not len(near) or not len(far):
        # One side is missing (a tiny train set): the other alone still has a gradient.
        total = torch.logsumexp(torch.cat([pull, push]), dim=0)
    else:
        total = torch.logsumexp(push, dim=0) + torch.logsumexp(pull, dim=0)
    return F.softplus(total) if softplus else total


def prototype_loss(
    prototypes: Tensor,
    train_codes: Tensor,
    positive: Tensor | Sides,
    *,
    softplus: bool,
    square_mask: bool,
) -> Tensor:
    """`(circle loss + ||sign p - p||^2 / 1e4) / B`, a scalar (SIGIR 2021; SAAT).

    Args:
        prototypes: p, (B, K) in (-1, 1).
        train_codes: (N, K) of +1 and -1.
        positive: as for `circle_loss`.
        softplus: as for `circle_loss`.
        square_mask: as for `circle_loss`.
    """
    similarity = prototypes @ train_codes.T / train_codes.shape[1]
    loss = circle_loss(similarity, positive, softplus=softplus, square_mask=square_mask)
    codes: Tensor = codes_of(prototypes.detach()).float()
    return (loss + (codes - prototypes).square().sum() / 1e4) / len(prototypes)


def target_rows(labels: Tensor) -> Tensor:
    """The distinct label rows that hold a label: what targets are drawn from.

    The published scripts take the database's rows, label-less ones too, which no target ever is.

    Args:
        labels: (N, classes) of 0 and 1.

    Returns:
        (rows, classes), sorted. Where no image has a label, a single row of zeros: there is always
        something to draw, and no query has a target that it could matter to.
    """
    rows: Tensor = labels[labels.any(dim=1)].unique(dim=0)
    return rows if len(rows) else labels.new_zeros(1, labels.shape[1])
