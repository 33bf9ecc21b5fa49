"""Whether a query's code depends on who else is asked: some queries, in company and alone.

A code is a property of an image. One that changes with the batch (statistics of the batch, a
memory of earlier calls, a place in a row) has no value of its own, and no mAP of it has either.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hashbench.attacking.generators import start_anew, undisturbed
from hashbench.data.images import Pixels
from hashbench.hashing.encode import as_images, device_of, evaluating
from hashbench.hashing.halving import out_of_memory
from hashbench.hashing.model import HashModel, codes_of

ASKED = 64
"""How many queries are asked in several companies: evenly spread, all of them where there are
fewer. It takes 17 passes for each, without a gradient, and 10 at a model that says it draws."""

ROUNDING = 1e-3
"""How far a logit may move, as a share of the logits' root mean square, and still be rounded.

Batches of other sizes add floats in another order. A sum of n float32 terms is off by about
`sqrt(n) * 6e-8` of their size, 1e-5 for the 25,088 of a VGG's first dense layer; this is a hundred
times that, and a bit that turns within it turned on an output that was 0 but for a thousandth.
"""

ROUNDING_MIXED = 1 / 16
"""The same where a network runs in bfloat16, whose rounding is 65,536 times as coarse: 0.4 % of a
value in every layer, which adds up to 3 % over 50 of them if the layers' errors are independent."""


@dataclass(frozen=True)
class Company:
    """The images that some asked ones stand among, one before, between and after them.

    Attributes:
        images: (B + 1, C, H, W) in `[0, 1]`, for B that are asked.
    """

    images: Tensor

    def around(self, asked: Tensor) -> Tensor:
        """The batch (2 B + 1, C, H, W): the asked images have the odd places, from 1."""
        pairs = torch.stack([self.images[:-1], asked], dim=1).flatten(0, 1)
        return torch.cat([pairs, self.images[-1:]])


def odd_places(batch: Tensor) -> Tensor:
    """The rows of the asked images in a batch, or in what was made of it."""
    return batch[1::2]


def spread(count: int, of: int) -> NDArray[np.int64]:
    """So many different positions, or as many as there are, evenly spread over `of` of them."""
    count = min(count, of)
    return np.arange(count) * of // count


def neighbours(asked: NDArray[np.int64], of: int) -> NDArray[np.int64]:
    """A position next to each asked one, and one more: not an asked one, where there are others."""
    return np.append(asked + 1, asked[0] + 2) % of


def strange(images: Tensor) -> Tensor:
    """Dark negatives: images of another brightness and another contrast than those of the data."""
    return (1 - images) / 2


def dependent_share(model: HashModel, pixels: Pixels, codes: NDArray[np.int8]) -> float:
    """The share of some queries whose code depends on who else is asked, or was asked before.

    Each is asked among its neighbours, among strangers, after strangers, in the opposite order,
    alone, and compared with the code that was made of it among all queries. A query counts as soon
    as one bit differs by more than rounding. A model that draws at random is asked with the same
    draws among as many others in the same places; it is not compared where other places or sizes
    give it other draws. Where memory runs out, fewer are asked; where there is no room for one
    between two others, nothing is found.

    Args:
        model: on the device to compute on; asked in eval mode, on copies, so that nothing that it
            remembers is left in it.
        pixels: the queries, uint8 (Q, C, H, W).
        codes: (Q, K), as they were made of all queries.
    """
    count = ASKED
    while count > 0:
        try:
            return _dependent_of(model, pixels, codes, count)
        except (MemoryError, RuntimeError) as error:
            if not out_of_memory(error):
                raise
        count //= 2
    return 0.0


def _dependent_of(model: HashModel, pixels: Pixels, codes: NDArray[np.int8], count: int) -> float:
    places = spread(count, len(pixels))
    device = device_of(model)
    asked = as_images(pixels[places], device)
    others = as_images(pixels[neighbours(places, len(pixels))], device)
    with undisturbed(device), torch.no_grad(), evaluating(model):
        found = _Answers(model, asked, Company(others), Company(strange(others)))
        turned = found.turned(torch.from_numpy(codes[places]).to(device))
    return float(turned.double().mean())


class _Answers:
    """What a model answers for some images in one company and in another."""

    def __init__(self, model: HashModel, asked: Tensor, near: Company, far: Company) -> None:
        self._model = model
        self._asked, self._near, self._far = asked, near, far
        self._batch = near.around(asked)
        self._usual = odd_places(self._last([self._batch]))
        share = max(
            ROUNDING_MIXED if getattr(module, "mixed", False) else ROUNDING
            for module in model.modules()
        )
        self._allowed = share * self._usual.square().mean().sqrt()

    def turned(self, codes: Tensor) -> Tensor:
        """Which images have a bit that depends on the company, (B,).

        Args:
            codes: (B, K), as they were made among all queries.
        """
        # What was asked before is as much, and as often: only its images differ.
        after = [
            odd_places(self._last([company.images, self._batch]))
            for company in (self._near, self._far)
        ]
        pairs = [
            (self._usual, odd_places(self._last([self._far.around(self._asked)]))),
            (after[0], after[1]),
        ]
        moved = [self._apart(one, two) for one, two in pairs]
        if not self._draws():
            alone = self._one_by_one()
            opposite = odd_places(self._last([self._batch.flip(0)]).flip(0))
            moved += [self._apart(self._usual, one) for one in (opposite, alone)]
            moved.append(((codes_of(alone) != codes) & (alone.abs() > self._allowed)).any(dim=1))
        return torch.stack(moved).any(dim=0)

    def _apart(self, one: Tensor, two: Tensor) -> Tensor:
        turned = codes_of(one) != codes_of(two)
        return (turned & ((one - two).abs() > self._allowed)).any(dim=1)

    def _draws(self) -> bool:
        """Whether it says that it draws, or answers otherwise after other draws or the same."""
        if self._model.draws > 1:
            return True
        model = copied(self._model)
        for seed in (1, 0):  # other draws of the process; then only its own generator has moved on
            start_anew(seed)
            again = odd_places(model.logits(self._batch.clone()).float())
            if bool(self._apart(self._usual, again).any()):
                return True
        return False

    def _last(self, batches: Sequence[Tensor]) -> Tensor:
        """The logits of the last of some batches that a copy is asked, from one random state."""
        model = copied(self._model)
        start_anew()
        return [model.logits(batch.clone()) for batch in batches][-1].float()

    def _one_by_one(self) -> Tensor:
        model = copied(self._model)
        start_anew()
        return torch.cat([model.logits(image[None].clone()) for image in self._asked]).float()


def copied(model: HashModel) -> HashModel:
    """A copy, which forgets what it is asked; itself where it cannot be copied."""
    try:
        return copy.deepcopy(model)
    except Exception:  # a plugin's model may hold anything, and the device be full
        return model
