"""Whether an attack's answer for a query depends on who else is attacked: a few, attacked again."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from typing_extensions import override

from hashbench.attacking.attacker import Attacker
from hashbench.attacking.company import copied, neighbours, spread
from hashbench.attacking.contract import Attack
from hashbench.attacking.generators import start_anew, undisturbed
from hashbench.attacking.harness import attacked_together
from hashbench.attacking.threat import Threat
from hashbench.data.images import Pixels
from hashbench.hashing.encode import as_images, device_of, evaluating, frozen
from hashbench.hashing.halving import out_of_memory
from hashbench.hashing.model import HashModel, codes_of
from hashbench.hashing.precision import Precision

ASKED = 6
"""How many queries are attacked again, evenly spread, each between two others."""

ALONE = 3
"""So many of them alone as well: 3 * 13 + 3 = 42 queries in 6 calls, besides the attack's own."""

APART = 0.01
"""Where every sum was of the same size and order: two images count as different from this share of
their change on. They should be equal to the bit."""

STRENGTH = 2.0
"""Where sums differ in size, so that a descent may take another way at each rounding: two answers
count as different where one changes the image so many times as much as the other ..."""

TURNED = 0.25
"""... or where more than this share of the bits differ. In a ResNet-18 whose sums were rounded to
bfloat16, up to 12 % did after 100 steps by an honest attack, and 1 % at most in float32."""


@dataclass(frozen=True)
class _Answer:
    """What one call of the attack gave for the asked queries.

    Attributes:
        change: (B, pixels), of the image.
        codes: (B, K), of the changed image, from one random state.
        sizes: of the batches that the models were asked, in order.
    """

    change: Tensor
    codes: Tensor
    sizes: tuple[int, ...]

    def rows(self, count: int) -> _Answer:
        """Of the first of the queries."""
        return replace(self, change=self.change[:count], codes=self.codes[:count])


def dependent_answers(
    attack: Attack,
    model: HashModel,
    pixels: Pixels,
    attacker: Attacker,
    threat: Threat,
    seeds: Sequence[int],
    *,
    limit: float = math.inf,
    search: Precision | None = None,
) -> float | None:
    """The share of some queries whose adversarial image depends on the others, or on earlier ones.

    They are attacked between their neighbours, between strangers, and between their neighbours once
    more after these; with the same seeds each time, in the same places of as large a batch, so that
    every sum is the same to the bit, draws of the model included. Some are attacked alone too, at a
    model that does not draw. None of these passes counts as the attack's.

    Args:
        attack: the plugin.
        model: the defended model, on the device to compute on.
        pixels: the queries, uint8 (Q, C, H, W).
        attacker: what is known of them, and what he brings along.
        threat: the ball.
        seeds: one per query.
        limit: as for `run_attack`.
        search: likewise.

    Returns:
        `None` where memory has no room for a query between two others.

    Raises:
        PluginError: the attack broke its contract.
    """
    count = ASKED
    while count > 0:
        try:
            trial = _Trial(attack, model, pixels, attacker, threat, seeds, limit, count, search)
            with undisturbed(device_of(model)):
                return trial.dependent()
        except (MemoryError, RuntimeError) as error:
            if not out_of_memory(error):
                raise
            count //= 2
    return None


class _Trial:
    """A few queries, to be attacked in several companies."""

    def __init__(
        self,
        attack: Attack,
        model: HashModel,
        pixels: Pixels,
        attacker: Attacker,
        threat: Threat,
        seeds: Sequence[int],
        limit: float,
        count: int,
        search: Precision | None,
    ) -> None:
        asked = spread(count, len(pixels))
        order = np.empty(2 * len(asked) + 1, dtype=np.int64)
        order[1::2], order[::2] = asked, neighbours(asked, len(pixels))
        self._attack, self._threat, self._limit = attack, threat, limit
        self._search = search
        # A copy, so that what the model remembers of this is forgotten; one, so that the attack may
        # remember the model.
        self._sizes: list[int] = []
        self._model = _Sized(copied(model), self._sizes)
        self._known = attacker.rows(torch.from_numpy(order))
        own = self._known.surrogate
        if own is not None:
            sized = replace(own, model=_Sized(own.model, self._sizes))
            self._known = replace(self._known, surrogate=sized)
        self._near = pixels[order]
        self._seeds = [seeds[place] for place in order.tolist()]

    def dependent(self) -> float:
        """The share of the queries with another answer in other company."""
        strangers = self._near.copy()
        strangers[::2] = (255 - strangers[::2]) // 2
        others = [seed if place % 2 else seed + 1 for place, seed in enumerate(self._seeds)]
        usual = self._asked(self._near, self._seeds)
        exactly = self._repeats_exactly()
        differ = torch.zeros(len(usual.codes), dtype=torch.bool, device=usual.codes.device)
        shift = 2 if self._repeats_exactly(shift=2) else 0
        for one in (
            self._asked(strangers, others),
            self._asked(self._near, self._seeds, shift=shift),
        ):
            differ |= _differ(usual, one, exactly=exactly and usual.sizes == one.sizes)
        if self._model.draws == 1:
            alone = self._alone(min(ALONE, len(differ)))
            few = len(alone.codes)
            differ[:few] |= _differ(usual.rows(few), alone, exactly=False)
        return float(differ.double().mean())

    def _asked(self, pixels: NDArray[np.uint8], seeds: Sequence[int], *, shift: int = 0) -> _Answer:
        """Of the queries at the odd places of a batch.

        Args:
            pixels: of all its places.
            seeds: likewise.
            shift: by so many places the batch is turned before, and its answer back after it.
        """
        order = np.roll(np.arange(len(pixels)), shift)
        back = np.roll(np.arange(len(pixels)), -shift)[1::2]
        return self._answer(
            pixels[order],
            self._known.rows(torch.from_numpy(order)),
            [seeds[place] for place in order.tolist()],
            torch.from_numpy(back),
        )

    def _alone(self, count: int) -> _Answer:
        """Of the first queries, each in a batch of its own."""
        answers = []
        for place in range(1, 2 * count, 2):
            one = slice(place, place + 1)
            answers.append(
                self._answer(self._near[one], self._known.rows(one), self._seeds[one], slice(None))
            )
        return _Answer(
            change=torch.cat([answer.change for answer in answers]),
            codes=torch.cat([answer.codes for answer in answers]),
            sizes=(),
        )

    def _answer(
        self, pixels: NDArray[np.uint8], known: Attacker, seeds: Sequence[int], rows: slice | Tensor
    ) -> _Answer:
        self._sizes.clear()
        start_anew()
        found = attacked_together(
            self._attack,
            self._model,
            pixels,
            known,
            self._threat,
            seeds,
            limit=self._limit,
            search=self._search,
        )
        sizes = tuple(self._sizes)
        clean = as_images(pixels, found.device)
        start_anew()
        with torch.no_grad(), evaluating(self._model):
            codes = codes_of(self._model.logits(found))
        return _Answer((found - clean).flatten(1)[rows], codes[rows], sizes)

    def _repeats_exactly(self, shift: int = 0) -> bool:
        """Whether a pass forward and back gives the same bits twice: not on every device.

        Args:
            shift: by so many places the batch is turned in the second pass.
        """
        device = device_of(self._model)
        found = []
        with evaluating(self._model), frozen(self._model):
            for turn in (0, shift):
                start_anew()
                point = as_images(np.roll(self._near, turn, axis=0), device).requires_grad_(True)
                logits = self._model.logits(point)
                gradient = None
                if logits.requires_grad:
                    (gradient,) = torch.autograd.grad(logits.sum(), point, allow_unused=True)
                both = [logits.detach()] if gradient is None else [logits.detach(), gradient]
                found.append([one.roll(-turn, dims=0) for one in both])
        return all(map(torch.equal, *found))


def _differ(one: _Answer, two: _Answer, *, exactly: bool) -> Tensor:
    """Which queries have two different answers, (B,).

    Args:
        one: of some queries.
        two: of the same ones.
        exactly: equal answers are equal to the bit, as no sum has another size or order.
    """
    sizes = [answer.change.abs().sum(dim=1) for answer in (one, two)]
    small, large = torch.minimum(*sizes), torch.maximum(*sizes)
    if exactly:
        return (one.change - two.change).abs().sum(dim=1) > APART * large
    turned = (one.codes != two.codes).double().mean(dim=1)
    return (large > STRENGTH * small) | (turned > TURNED)


class _Sized(HashModel):
    """A model that notes how many images it is asked at a time."""

    def __init__(self, base: HashModel, sizes: list[int]) -> None:
        nn.Module.__init__(self)
        self.base = base
        self.bits = base.bits
        self.draws = base.draws
        self.training = base.training
        self._sizes = sizes

    @override
    def logits(self, images: Tensor) -> Tensor:
        self._sizes.append(len(images))
        return self.base.logits(images)
