"""What an attack is tried on: a model, queries, and what there is to know of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import torch
from torch import Tensor

from hashbench.attacking.goal import Known
from hashbench.data.images import ImageSet
from hashbench.data.targets import draw_targets
from hashbench.hashing.encode import as_images, encode
from hashbench.hashing.model import HashModel
from hashbench.retrieval import center_codes
from hashbench.testing.world import SMALL, Shape, linear_model, world


@dataclass(frozen=True)
class Case:
    """One model with its queries.

    Attributes:
        model: to be copied, never to be changed.
        images: the queries, (Q, C, H, W) in `[0, 1]`.
        known: of them; codes are the model's.
        train: what a trained attack learns from; its codes are `known.train_codes`.
        database_codes, database_labels: what is searched, (M, K) and (M, classes).
        surrogate: a surrogate with `known` as it sees it; by default the model itself.
    """

    model: HashModel
    images: Tensor
    known: Known
    train: ImageSet
    database_codes: Tensor
    database_labels: Tensor
    surrogate: tuple[HashModel, Known] | None = None

    def rows(self, chosen: Tensor) -> Case:
        """Some of the queries."""
        return replace(
            self,
            images=self.images[chosen],
            known=rows_of(self.known, chosen),
            surrogate=self.surrogate and (self.surrogate[0], rows_of(self.surrogate[1], chosen)),
        )

    def to(self, device: str) -> Case:
        """A copy on a device."""
        return replace(
            self,
            images=self.images.to(device),
            known=moved(self.known, device),
            database_codes=self.database_codes.to(device),
            surrogate=self.surrogate and (self.surrogate[0], moved(self.surrogate[1], device)),
        )

    def knowing(self, labels: Tensor, targets: Tensor | None = None) -> Case:
        """The same queries with other labels, and the centers and targets that follow."""
        targets = draw(labels, self.known.train_labels) if targets is None else targets

        def told(known: Known) -> Known:
            centers = centers_of(labels, known.train_codes, known.train_labels)
            return replace(known, labels=labels, center_codes=centers, target_labels=targets)

        return replace(
            self,
            known=told(self.known),
            surrogate=self.surrogate and (self.surrogate[0], told(self.surrogate[1])),
        )

    def with_common_label(self) -> Case:
        """The same with one more label, which every image bears."""

        def common(labels: Tensor) -> Tensor:
            return torch.cat([labels, torch.ones(len(labels), 1)], dim=1)

        def told(known: Known) -> Known:
            return replace(known, train_labels=common(known.train_labels))

        everywhere = replace(
            self,
            known=told(self.known),
            surrogate=self.surrogate and (self.surrogate[0], told(self.surrogate[1])),
            train=ImageSet(
                self.train.images, np.pad(self.train.labels, ((0, 0), (0, 1)), constant_values=1)
            ),
            database_labels=common(self.database_labels),
        )
        # Targets stay without it, so that they share no label with a query.
        targets = self.known.target_labels
        if targets is not None:
            targets = torch.cat([targets, torch.zeros(len(targets), 1)], dim=1)
        return everywhere.knowing(common(self.known.labels), targets)


def rows_of(known: Known, chosen: Tensor) -> Known:
    """What is known of some of the queries."""
    targets = known.target_labels
    return replace(
        known,
        labels=known.labels[chosen],
        center_codes=known.center_codes[chosen],
        target_labels=None if targets is None else targets[chosen],
    )


def moved(known: Known, device: str | None = None) -> Known:
    """A copy, on a device where one is named."""

    def copied(tensor: Tensor) -> Tensor:
        return tensor.clone().to(device or tensor.device)

    targets = known.target_labels
    return Known(
        labels=copied(known.labels),
        center_codes=copied(known.center_codes),
        train_codes=copied(known.train_codes),
        train_labels=copied(known.train_labels),
        target_labels=None if targets is None else copied(targets),
    )


def centers_of(labels: Tensor, codes: Tensor, code_labels: Tensor) -> Tensor:
    """Center codes as the runner makes them, float32."""
    return torch.from_numpy(center_codes(labels, codes, code_labels)).float()


def draw(labels: Tensor, train_labels: Tensor) -> Tensor:
    """Targets as the runner draws them, float32."""
    rows = (part.numpy().astype(np.uint8) for part in (labels, train_labels))
    return torch.from_numpy(draw_targets(*rows)).float()


@cache
def ordinary(shape: Shape = SMALL) -> Case:
    """The task of `world`, with a surrogate of other weights."""
    found = world(shape)
    own = world(shape, seed=1).model
    return Case(
        model=found.model,
        images=as_images(found.query.images[:], torch.device("cpu")),
        known=_known(found.model, found.query, found.train),
        train=found.train,
        database_codes=_codes(found.model, found.database),
        database_labels=_labels(found.database),
        surrogate=(own, _known(own, found.query, found.train)),
    )


def of_model(model: HashModel) -> Case:
    """The ordinary queries before another model."""
    usual = ordinary()
    return replace(usual, model=model, surrogate=None)


@cache
def linear(threshold: float, *, corner: bool = False) -> Case:
    """One bit, `sign(w.x + b)`, that flips in the ball of radius `threshold` and not in a smaller.

    `|w.x + b| / ||w||_1` is the threshold for every query (closed form, L-infinity), and the box
    is far. What is relevant to a query has its own bit, all else the other.

    Args:
        threshold: in `[0, 1]` pixels.
        corner: only 2 x 2 pixels count, all alike, so that a search without gradients finds them.
    """
    generator = torch.Generator().manual_seed(3)
    weight = torch.rand(SMALL, generator=generator) + 0.5
    weight = weight * torch.where(torch.rand(SMALL, generator=generator) < 0.5, -1.0, 1.0)
    if corner:
        weight = torch.zeros(SMALL)
        weight[0, 3:5, 3:5] = 1.0
    weight = (12 * weight / weight.abs().sum()).double()
    images = 0.4 + 0.2 * torch.rand((6, *SMALL), generator=generator)
    side = torch.tensor([1.0, -1.0] * 3).double()
    # Moved along w until each has its logit to float32 rounding; b is that of mid-grey.
    bias = -0.5 * weight.sum()
    wanted = 12 * threshold * side
    for _ in range(3):
        missing = wanted - ((images.double() * weight).sum(dim=(1, 2, 3)) + bias)
        direction = weight / weight.square().sum()
        images = (images.double() + missing[:, None, None, None] * direction).float()
    model = linear_model(weight[None], bias[None])
    labels = torch.stack([side > 0, side < 0], dim=1).float()
    train_labels = torch.eye(2).repeat(8, 1)
    train_codes = torch.tensor([1.0, -1.0]).repeat(8)[:, None]
    known = Known(
        labels=labels,
        center_codes=side.float()[:, None],
        train_codes=train_codes,
        train_labels=train_labels,
        target_labels=labels.flip(1),
    )
    pixels = (255 * images.repeat(3, 1, 1, 1)[:16]).round().byte().numpy()
    return Case(
        model=model,
        images=images,
        known=known,
        train=ImageSet(pixels, train_labels.numpy().astype(np.uint8)),
        database_codes=train_codes,
        database_labels=train_labels,
    )


def _known(model: HashModel, query: ImageSet, train: ImageSet) -> Known:
    codes, labels, train_labels = _codes(model, train), _labels(query), _labels(train)
    return Known(
        labels=labels,
        center_codes=centers_of(labels, codes, train_labels),
        train_codes=codes,
        train_labels=train_labels,
        target_labels=draw(labels, train_labels),
    )


def _codes(model: HashModel, images: ImageSet) -> Tensor:
    return torch.from_numpy(encode(model, images.images).codes).float()


def _labels(images: ImageSet) -> Tensor:
    return torch.from_numpy(images.labels).float()
