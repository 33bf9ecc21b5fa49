"""Calls of attacks that draw from the process-wide generators, as other libraries' attacks do."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

import torch
from torch import Tensor

from hashbench.attacking.generators import seeded
from hashbench.attacking.randomness import QueryRandom
from hashbench.seeds import seed_of


class Seeding(StrEnum):
    """How a foreign attack is called, and so what its draws depend on."""

    QUERY = "query"
    """Once for each query, with the query's seed: no answer depends on the batch. Slower."""
    BATCH = "batch"
    """Once for a batch, with a seed from all its queries: quick, but where it draws, an answer
    depends on how the queries are cut into batches, and rows are flagged for that."""


def call_seeded(
    call: Callable[[Tensor, Tensor, int], Tensor],
    images: Tensor,
    labels: Tensor,
    rng: QueryRandom,
    seeding: Seeding = Seeding.QUERY,
) -> Tensor:
    """Call a foreign attack on a batch, or on one query after the other, under its own seeds.

    Args:
        call: images (b, C, H, W), their labels (b,), a seed -> perturbed images like them. The
            process-wide generators are seeded already; the seed is for a library that wants one.
        images: (B, C, H, W) in `[0, 1]`.
        labels: what `call` is told of each query, (B, ...), such as its class.
        rng: the queries' streams; one number of each is drawn.
        seeding: per query, or per batch.

    Returns:
        What `call` returned, (B, C, H, W), on the images' device.
    """
    if not len(images):
        return images.clone()
    seeds = [int(seed) for seed in rng.integers((), 2**31)]
    if seeding is Seeding.QUERY:
        parts = [(slice(place, place + 1), seed) for place, seed in enumerate(seeds)]
    else:
        parts = [(slice(None), seed_of("batch", *seeds) % 2**31)]
    answers = []
    for part, seed in parts:
        with seeded(seed):
            answers.append(call(images[part], labels[part], seed).to(images.device))
    return torch.cat(answers)
