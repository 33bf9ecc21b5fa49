"""Prototype codes: a network from label rows to codes, and what it is trained on. Torch alone."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hashbench.hashing.model import codes_of


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
    similarity: Tensor, positive: Tensor, *, softplus: bool, square_mask: bool
) -> Tensor:
    """Circle loss (Sun et al., CVPR 2020) as both ATRDH scripts code it: gamma 1, no margin.

    Args:
        similarity: (B, N) of prototypes to train codes, in [-1, 1].
        positive: (B, N), 1 where a target label shares a class with the train item.
        softplus: SAAT's variant, else SIGIR's.
        square_mask: keep only the part above the diagonal.
    """
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
    positive: Tensor,
    *,
    softplus: bool,
    square_mask: bool,
) -> Tensor:
    """`(circle loss + ||sign p - p||^2 / 1e4) / B`, a scalar (SIGIR 2021; SAAT).

    Args:
        prototypes: p, (B, K) in (-1, 1).
        train_codes: (N, K) of +1 and -1.
        positive: (B, N), 1 where a target label shares a class with the train item.
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
