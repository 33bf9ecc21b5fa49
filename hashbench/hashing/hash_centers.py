"""Hash centers: a code per class, and the target code of an image from its labels."""

from __future__ import annotations

from enum import StrEnum

import numpy as np
import torch
from scipy.linalg import hadamard
from torch import Tensor

from hashbench.errors import UsageError
from hashbench.hashing.setup import LossSetup
from hashbench.hashing.similarity_codes import similarity_codes

# Most draws of random centers, until they lie far enough from each other.
_DRAWS = 20


class Unlabelled(StrEnum):
    """How a loss with class centers treats an image without a label."""

    SKIP = "skip"
    """Its class term is 0; the mean is still over the whole batch."""

    AS_CODED = "as-coded"
    """As the published script does with an all-zero label row."""


class CenterKind(StrEnum):
    """Where the codes of the classes come from."""

    HADAMARD = "hadamard"
    """As far from each other as codes can be: `class_centers`."""

    SIMILARITY = "similarity"
    """Nearer where the classes' train images are alike: `similarity_codes`."""


def centers_of(kind: CenterKind, setup: LossSetup) -> Tensor:
    """The codes of the classes of a train set, (classes, K) float32 of +1 and -1.

    Raises:
        UsageError: they are made from the train images, and there are none.
    """
    if kind is CenterKind.HADAMARD:
        return class_centers(setup.labels.shape[1], setup.bits, setup.generator)
    if setup.images is None:
        raise UsageError(
            "codes=similarity are made from the train images, which were not handed over: give "
            "LossSetup its images, or take codes=hadamard"
        )
    labels = setup.labels.cpu().numpy().astype(np.uint8)
    return similarity_codes(setup.images, labels, setup.bits, setup.generator)


def has_class_term(labels: Tensor, unlabelled: Unlabelled) -> Tensor:
    """Which items of a batch have a class term in the loss.

    Args:
        labels: (B, classes) of 0 and 1.
        unlabelled: how items without a label are treated.

    Returns:
        (B, 1) bool.
    """
    labelled = labels.any(dim=1, keepdim=True)
    return torch.ones_like(labelled) if unlabelled is Unlabelled.AS_CODED else labelled


def class_centers(classes: int, bits: int, generator: torch.Generator) -> Tensor:
    """CSQ's centers, one of +1 and -1 per class (Yuan et al., CVPR 2020, algorithm 1).

    The rows of a Hadamard matrix, then of its negative, where the code length is a power of two.
    All classes that these do not serve, or all classes at another code length, get random balanced
    codes: drawn until any two centers differ in more than K / 4 bits and in K / 2 on average, as
    the published scripts do, but at most 20 times; then the draw of the largest least distance is
    kept. Where there are more classes than balanced codes, some share one.

    Args:
        classes: how many.
        bits: code length K, any from 1 on.
        generator: for the random ones; not touched where there are none.

    Returns:
        (classes, K) float32.
    """
    rows = torch.empty(0, bits)
    if bits & (bits - 1) == 0:
        half = torch.from_numpy(hadamard(bits)).float()
        rows = torch.cat([half, -half])[:classes]
    if len(rows) == classes:
        return rows
    best, most = rows, -1
    for _ in range(_DRAWS):
        drawn = torch.cat([rows, balanced_codes(classes - len(rows), bits, generator)])
        apart = _distances(drawn)
        least = int(apart.min()) if len(apart) else bits
        if least > most:
            best, most = drawn, least
        if least > bits / 4 and (not len(apart) or float(apart.mean()) >= bits / 2):
            return drawn
    return best


def balanced_codes(count: int, bits: int, generator: torch.Generator) -> Tensor:
    """Random codes (count, bits) float32, floor(K / 2) of their bits +1, the others -1."""
    order = torch.rand(count, bits, generator=generator).argsort(dim=1)
    return torch.where(order < bits // 2, 1.0, -1.0)


def item_targets(
    labels: Tensor,
    centers: Tensor,
    generator: torch.Generator,
    unlabelled: Unlabelled = Unlabelled.SKIP,
) -> Tensor:
    """The code that each item is pulled to: the sign of the sum of its classes' centers.

    A tied bit gets a random sign, drawn once per label row. (The published scripts draw one code
    for all ties of a training, CgAT and DeepHash-pytorch of 0 and 1, SAAT of -1 and +1: what comes
    out of its sign is the same.) Without a label all bits are tied.

    Args:
        labels: (N, classes) of 0 and 1.
        centers: (classes, K) of +1 and -1.
        generator: for the ties; what it draws does not depend on `unlabelled`.
        unlabelled: what an item without a label gets: zeros, or the random bits of its tie.

    Returns:
        (N, K) of +1 and -1, but 0 for an item without a label that is skipped.
    """
    rows, item_row = labels.unique(dim=0, return_inverse=True)
    coins = torch.where(
        torch.rand(len(rows), centers.shape[1], generator=generator) < 0.5, -1.0, 1.0
    )
    sums = rows @ centers
    codes = torch.where(sums == 0, coins, sums.sign())
    return torch.where(has_class_term(rows, unlabelled), codes, 0)[item_row]


def _distances(codes: Tensor) -> Tensor:
    """In how many bits two codes differ, for all pairs."""
    first, second = torch.triu_indices(len(codes), len(codes), offset=1)
    return (codes.shape[1] - codes @ codes.T)[first, second] / 2
