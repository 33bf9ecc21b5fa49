"""Anchor codes: what targeted attacks lead to, drawn from codes that have the target's labels."""

from __future__ import annotations

import torch
from torch import Tensor

from hashbench.attacking.goal import Goal
from hashbench.attacking.randomness import QueryRandom


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
