"""A hashing model as a classifier, for attacks of libraries that know classes alone."""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Tensor, nn
from typing_extensions import override

from hashbench.attacking.attacked_model import AttackedModel
from hashbench.attacking.goal import Goal
from hashbench.retrieval import center_codes


class Classifier(nn.Module):
    """Logits of an image: how far its outputs agree with the center code of each class.

    `logits = outputs(x) @ centers.T`, from -K to K, with the outputs `tanh(z)` of the attacked
    model. So a step away from the query's class is a step away from its class's center code, and
    the class that a rival's loss finds nearest is that of the nearest wrong center. At a model that
    draws, the outputs are their mean over its draws (`Draws.MEAN_OUTPUT`).

    The attacked model is no submodule: `train`, `to`, `zero_grad` and `state_dict` do not reach it,
    and every pass counts as one of `model`.

    Attributes:
        centers: float32 (classes, K) of +1, -1, and 0 where it is undecided, on the device of what
            the attacker knows; a frozen parameter, since libraries ask the parameters for the
            device. All 0 for a class that no training image has, or that all have.
    """

    def __init__(self, model: AttackedModel, goal: Goal) -> None:
        """See `as_classifier`."""
        super().__init__()
        known, labels = goal.train_codes, goal.train_labels
        found = torch.from_numpy(center_codes(torch.eye(labels.shape[1]), known, labels))
        self.centers = nn.Parameter(found.to(known), requires_grad=False)
        self._model, self._goal = model, goal

    @override
    def forward(self, images: Tensor) -> Tensor:
        """The logits, (B, classes), of images (B, C, H, W) in `[0, 1]`."""
        return self._model.outputs(images) @ self.centers.T

    @cached_property
    def labels(self) -> Tensor:
        """The class of each query, int64 (B,); needs `Knowledge.LABELS`.

        A query of several labels gets the one whose center agrees most with the query's own center
        code, the first of equal ones. That is a stand-in: a loss over classes cannot say "away from
        all of them", and what moves a query from one of its labels to another is no harm to a
        search. So on data of several labels such an attack is weaker than one that uses
        `goal.center_codes`. A query without a label gets the class nearest to its center code.
        """
        return self._nearest(self._goal.labels, self._goal.center_codes)

    @cached_property
    def targets(self) -> Tensor:
        """The class to lead each query to, int64 (B,), chosen as `labels`; of a targeted attack.

        A query without a target gets class 0.
        """
        rows = self._goal.target_labels
        wanted = center_codes(rows, self._goal.train_codes, self._goal.train_labels)
        return self._nearest(rows, torch.from_numpy(wanted).to(rows))

    def _nearest(self, rows: Tensor, codes: Tensor) -> Tensor:
        """Of each row's labels the one whose center agrees most with the row's code."""
        classes = rows.shape[1]
        agreement = (codes @ self.centers.T).round().long()
        # Whole numbers that hold the class too, so that of equal ones the first wins everywhere.
        order = agreement * classes - torch.arange(classes, device=rows.device)
        borne = (rows > 0) | ~(rows > 0).any(dim=1, keepdim=True)
        return order.masked_fill(~borne, torch.iinfo(order.dtype).min).argmax(dim=1)


def as_classifier(model: AttackedModel, goal: Goal) -> Classifier:
    """The attacked model as a classifier, in eval mode, for another library's attack.

    Args:
        model: as `perturb` gets it; the card must declare `Access.GRADIENT`.
        goal: as `perturb` gets it; the card must declare `Knowledge.TRAINING`, from which the
            centers come, and `LABELS` where `labels` is read.

    Raises:
        PluginError: the card does not declare what is read.
    """
    return Classifier(model, goal).eval()
