"""Small experiments on a model that tell whether its robust numbers can be believed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hashbench.attacking.attacked_model import AttackedModel
from hashbench.attacking.company import dependent_share
from hashbench.attacking.descent import SignStep, descend
from hashbench.attacking.halving import part_by_part
from hashbench.attacking.step_rules import StepSchedule
from hashbench.attacking.threat import Threat
from hashbench.data.images import Pixels
from hashbench.eps import Eps
from hashbench.hashing.encode import BlockEncoder, as_images, device_of, encode, evaluating, frozen
from hashbench.hashing.model import HashModel

UNBOUNDED_QUERIES = 100
"""How many queries the unbounded attack is tried on."""

STILL_QUERIES = 5
"""Queries that take the step of radius 0 together: few, as the images of a block wait beside them.

The image that comes back is the clean one, whatever the others are.
"""

UNBOUNDED_STEPS = 60
FIRST_STEP = 0.1
"""Size of the unbounded attack's first step, in `[0, 1]` pixels; it decays to nothing."""


@dataclass(frozen=True)
class ProbeOutcome:
    """What the experiments gave.

    Attributes:
        unstable: share of the queries whose code differs when they are asked for a second time.
        moved: share of the queries whose code differs after a gradient step of radius 0, which
            changes no pixel.
        dependent: share of some queries whose code depends on who else is asked; see
            `hashbench.attacking.company`.
        unbounded: int8 (n, K), codes of the first n queries after center PGD that may change
            every pixel at will; `None`, as `moved`, of a model that gives no gradient.
    """

    unstable: float
    moved: float | None
    dependent: float
    unbounded: NDArray[np.int8] | None


def probe(
    model: HashModel,
    pixels: Pixels,
    center_codes: NDArray[np.int8],
    stored: NDArray[np.int8],
) -> ProbeOutcome:
    """Try the experiments.

    Args:
        model: on the device to compute on.
        pixels: the queries, uint8 (Q, C, H, W).
        center_codes: (Q, K) of +1, -1, 0.
        stored: (Q, K) of +1 and -1, the queries' codes as their results rest on them.
    """
    # First: a model may take the first batch that it is ever asked for a measure of all others.
    dependent = dependent_share(model, pixels, stored)
    # Both here: codes that another machine made may differ in a bit whose output is about 0.
    codes, again = encode(model, pixels).codes, encode(model, pixels).codes
    if not model.differentiable:  # nothing to follow, with a bound or without
        return ProbeOutcome(_share_moved(again, codes), None, dependent, None)
    stayed = _descended(model, pixels, center_codes, "0", steps=1, together=STILL_QUERIES)
    first = slice(UNBOUNDED_QUERIES)
    unbounded = _descended(
        model,
        pixels[first],
        center_codes[first],
        "1",
        steps=UNBOUNDED_STEPS,
        together=UNBOUNDED_QUERIES,
    )
    return ProbeOutcome(
        unstable=_share_moved(again, codes),
        moved=_share_moved(stayed, codes),
        dependent=dependent,
        unbounded=unbounded,
    )


def _share_moved(found: NDArray[np.int8], codes: NDArray[np.int8]) -> float:
    return float((found != codes).any(axis=1).mean())


def _descended(
    model: HashModel,
    pixels: Pixels,
    center_codes: NDArray[np.int8],
    eps: str,
    *,
    steps: int,
    together: int,
) -> NDArray[np.int8]:
    """Codes after center PGD; a model without a gradient stays where it is.

    So many queries go together, as memory allows: a loss is each query's own.
    """
    threat, device = Threat(Eps.parse(eps)), device_of(model)
    codes = BlockEncoder(model, len(pixels))

    def descended(part: slice) -> Tensor:
        target = AttackedModel(model)
        centers = torch.from_numpy(center_codes[part]).float().to(device)

        def agreement(point: Tensor, _: int) -> Tensor:
            loss = (target.outputs(point) * centers).mean(dim=1)
            # Cut off from the image: a zero gradient, which moves nothing.
            return loss if loss.requires_grad else loss + 0 * point.flatten(1).sum(dim=1)

        update = SignStep(StepSchedule.COSINE.sizes(FIRST_STEP, steps))
        with evaluating(model), frozen(model):
            # The clean images have no name here: they go once the descent has begun.
            return descend(
                agreement, as_images(pixels[part], device), threat, steps=steps, update=update
            )

    part_by_part(len(pixels), together, descended, codes.add)
    return codes.encoded().codes
