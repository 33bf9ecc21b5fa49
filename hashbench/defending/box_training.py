"""Training on boxes of images: the loss of all images of a ball at once, from bounds of logits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F
from typing_extensions import override

from hashbench.certifying import Box, logit_bounds, pixel_box
from hashbench.defending.setup import DefenseSetup
from hashbench.hashing.divided import over_rows
from hashbench.hashing.encode import device_of, evaluating
from hashbench.hashing.kept import Kept
from hashbench.hashing.model import HashModel
from hashbench.hashing.objective import Batch, Objective


@dataclass(frozen=True)
class BoxLoss:
    """A loss of boxes of logits; of images of one label, at least that of every point inside.

    `(1 - mix) * bits + mix * classes`, means over the batch. With W the classes' codes, t the mean
    of an image's own codes (its class's code, where it has one label) and d_c = W_c - t:

        bits:    mean_k softplus(-min(t_k lo_k, t_k hi_k))
        classes: cross entropy of the scores s against the image's labels, each 1 / their number,
                 s_c = scale / 2 * sum_k max(tanh(lo_k) d_ck, tanh(hi_k) d_ck), of own classes min

    s_c is the largest lead that a class's code can have over the own one anywhere in the box: one
    joint worst case per class, not one per bit. For a single point (lo = hi) it is the scaled
    difference of inner products of the outputs with both codes. Own classes of an image of several
    labels are each taken at their least, which bounds every score, but not quite the entropy: they
    compete with each other there. An image without a label adds 0.

    Attributes:
        codes: W, (classes, K) of +1 and -1, on the device of the logits.
        mix: weight of the classes' term, from 0 to 1.
        scale: of the scores, above 0.
    """

    codes: Tensor
    mix: float
    scale: float

    def __call__(self, box: Box, labels: Tensor) -> Tensor:
        """The loss of a batch, a scalar.

        Args:
            box: of logits, (B, K).
            labels: (B, classes) of 0 and 1.
        """
        codes = self.codes.to(box.lower)
        own = labels.to(codes)
        share = own / own.sum(dim=1, keepdim=True).clamp(min=1)
        wanted = share @ codes
        labelled = own.any(dim=1)
        nearest = torch.minimum(wanted * box.lower, wanted * box.upper)
        bits = F.softplus(-nearest).mean(dim=1)
        scores = self._scores(box, wanted, own, codes)
        classes = -(share * scores.log_softmax(dim=1)).sum(dim=1)
        return (labelled * ((1 - self.mix) * bits + self.mix * classes)).mean()

    def _scores(self, box: Box, wanted: Tensor, own: Tensor, codes: Tensor) -> Tensor:
        """s, (B, classes): the least of own classes, the largest of the others."""
        lead = codes - wanted[:, None]  # (B, classes, K)
        up, down = lead.clamp(min=0), lead.clamp(max=0)
        low, high = torch.tanh(box.lower)[:, None], torch.tanh(box.upper)[:, None]
        most = (up * high + down * low).sum(dim=2)
        # An image of one label has no lead over itself.
        least = (up * low + down * high).sum(dim=2)
        return self.scale / 2 * torch.where(own > 0, least, most)


@dataclass(frozen=True)
class BoxSchedule:
    """How radius and weights change over a training; p is the share of its steps that is done.

    `f(p) = clip((p - begin) / (end - begin), 0, 1)`. The radius is f times the largest one; clean
    images weigh `1 - (1 - clean) f`, boxes the rest (Gowal et al. 2018, whose ramps are like it).

    Attributes:
        begin, end: shares of the steps between which the radius grows, `0 <= begin < end <= 1`.
        clean: weight of the clean images from `end` on, from 0 to 1.
    """

    begin: float
    end: float
    clean: float

    def growth(self, progress: float) -> float:
        """f, from 0 to 1."""
        return min(1.0, max(0.0, (progress - self.begin) / (self.end - self.begin)))

    def weight(self, progress: float) -> float:
        """Of the clean images, from 1 down to `clean`."""
        return 1 - (1 - self.clean) * self.growth(progress)


class BoxTraining(Objective):
    """One training on boxes at work: it changes nothing but the model.

    Model and bounds are taken in eval mode, the mode that is proven: without dropout, and with
    batch norms that keep the statistics that they have.
    """

    def __init__(
        self, model: HashModel, loss: BoxLoss, schedule: BoxSchedule, radius: float
    ) -> None:
        """Start.

        Args:
            model: to be trained.
            loss: of boxes.
            schedule: of radius and weights.
            radius: the largest one, in `[0, 1]` pixels, 0 or more.
        """
        self._model = model
        self._loss = loss
        self._schedule = schedule
        self._radius = radius

    @override
    def loss(self, batch: Batch) -> Tensor:
        """Clean and worst-case loss, by the schedule; neither pass is made where it weighs 0."""
        radius = self._radius * self._schedule.growth(batch.progress)
        weight = self._schedule.weight(batch.progress) if radius else 1.0
        with evaluating(self._model):
            total: Tensor | float = 0.0
            if weight > 0:
                logits = self._model.logits(batch.images)
                total = total + weight * self._loss(Box(logits, logits), batch.labels)
            if weight < 1:
                box = pixel_box(batch.images, radius)
                lower, upper = over_rows(self._model, self._bounds, box.lower, box.upper)
                total = total + (1 - weight) * self._loss(Box(lower, upper), batch.labels)
        assert isinstance(total, Tensor)
        return total

    def _bounds(self, lower: Tensor, upper: Tensor) -> tuple[Tensor, ...]:
        found = logit_bounds(self._model, Box(lower, upper), finite=False)
        return found.lower, found.upper

    @override
    def keeps(self) -> Mapping[str, Kept]:
        return {}


def refuse_unbounded(model: HashModel, setup: DefenseSetup) -> None:
    """Refuse a model with a layer that has no bounds before it is trained.

    Raises:
        UncertifiableError: there is one; names it.
    """

    def bounds(image: Tensor) -> tuple[Tensor, ...]:
        found = logit_bounds(model, Box(image, image))
        return found.lower, found.upper

    if setup.images is not None and len(setup.images):
        image = torch.zeros(1, *setup.images.shape[1:], device=device_of(model))
        with evaluating(model), torch.no_grad():
            over_rows(model, bounds, image)


def mean_codes(outputs: Tensor, labels: Tensor) -> Tensor:
    """A code per class, (classes, K): the signs of its images' mean output.

    Args:
        outputs: (N, K).
        labels: (N, classes) of 0 and 1.
    """
    return torch.where(labels.to(outputs).T @ outputs >= 0, 1.0, -1.0)
