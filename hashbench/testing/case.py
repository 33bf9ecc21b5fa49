"""What an attack is tried on: a model, queries, and what there is to know of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import torch
from torch import Tensor

from hashbench.attacking.attacker import Attacker, SurrogateModel
from hashbench.attacking.goal import Known
from hashbench.data.images import ImageSet
from hashbench.data.targets import draw_targets
from hashbench.eps import Norm
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
        attacker: what is known of them, with the codes of what is searched, (M, K). Without a
            surrogate, the model itself is one.
        train: what a trained attack learns from; its codes are `known.train_codes`.
        database_labels: of what is searched, (M, classes).
    """

    model: HashModel
    images: Tensor
    attacker: Attacker
    train: ImageSet
    database_labels: Tensor

    @property
    def known(self) -> Known:
        """What is known of the queries from the model's codes."""
        return self.attacker.known

    @property
    def database_codes(self) -> Tensor:
        """The codes of what is searched, (M, K)."""
        codes = self.attacker.database_codes
        assert codes is not None
        return codes

    def rows(self, chosen: Tensor) -> Case:
        """Some of the queries."""
        return replace(self, images=self.images[chosen], attacker=self.attacker.rows(chosen))

    def to(self, device: str) -> Case:
        """A copy on a device."""
        return replace(self, images=self.images.to(device), attacker=self.attacker.to(device))

    def knowing(self, labels: Tensor, targets: Tensor | None = None) -> Case:
        """The same queries with other labels, and the centers and targets that follow."""
        targets = draw(labels, self.known.train_labels) if targets is None else targets

        def told(known: Known) -> Known:
            centers = centers_of(labels, known.train_codes, known.train_labels)
            return replace(known, labels=labels, center_codes=centers, target_labels=targets)

        return replace(self, attacker=self.attacker.knowing(told))

    def with_common_label(self) -> Case:
        """The same with one more label, which every image bears."""

        def common(labels: Tensor) -> Tensor:
            return torch.cat([labels, torch.ones(len(labels), 1)], dim=1)

        everywhere = replace(
            self,
            attacker=self.attacker.knowing(
                lambda known: replace(known, train_labels=common(known.train_labels))
            ),
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
        attacker=Attacker(
            known=_known(found.model, found.query, found.train),
            database_codes=_codes(found.model, found.database),
            surrogate=SurrogateModel(own, _known(own, found.query, found.train)),
        ),
        train=found.train,
        database_labels=_labels(found.database),
    )


def grey() -> Case:
    """The ordinary queries, so far from 0 and 1 that the box cuts no ball of the usual radius."""
    usual = ordinary()
    return replace(usual, images=usual.images.clamp(0.4, 0.6))


def of_model(model: HashModel) -> Case:
    """The ordinary queries before another model."""
    usual = ordinary()
    return replace(usual, model=model, attacker=replace(usual.attacker, surrogate=None))


@cache
def linear(threshold: float, *, corner: bool = False, norm: Norm = Norm.LINF) -> Case:
    """One bit, `sign(w.x + b)`, that flips in the ball of radius `threshold` and not in a smaller.

    `|w.x + b| / ||w||_1` is the threshold for every query (closed form, L-infinity; in L2 over
    `||w||_2`), and the box is far. What is relevant to a query has its own bit, all else the other.

    Args:
        threshold: in `[0, 1]` pixels.
        corner: only 2 x 2 pixels count, all alike, so that a search without gradients finds them.
        norm: of the ball.
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
    # By which a logit moves at most in a ball of radius 1.
    steepest = 12 if norm is Norm.LINF else float(weight.norm())
    wanted = steepest * threshold * side
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
        attacker=Attacker(known, database_codes=train_codes),
        train=ImageSet(pixels, train_labels.numpy().astype(np.uint8)),
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
