"""Small experiments on a model that tell whether its robust numbers can be believed."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hashbench.data.images import Pixels
from hashbench.eps import Eps
from hashbench.evaluation.projected import descend
from hashbench.evaluation.target import AttackedModel
from hashbench.evaluation.threat import Threat
from hashbench.hashing.encode import as_images, device_of, encode, evaluating, frozen
from hashbench.hashing.model import HashModel

UNBOUNDED_QUERIES = 100
"""How many queries the unbounded attack is tried on."""

UNBOUNDED_STEPS = 60
FIRST_STEP = 0.1
"""Size of the unbounded attack's first step, in `[0, 1]` pixels; it decays to nothing."""


@dataclass(frozen=True)
class ProbeOutcome:
    """What the experiments gave.

    Attributes:
        unstable: share of the queries whose code differs when they are asked for a second time.
        moved: share of the queries whose code differs after an attack of radius 0, which may change
            no pixel.
        unbounded: int8 (n, K), codes of the first n queries after center PGD that may change
            every pixel at will.
    """

    unstable: float
    moved: float
    unbounded: NDArray[np.int8]


def probe(
    model: HashModel,
    pixels: Pixels,
    codes: NDArray[np.int8],
    center_codes: NDArray[np.int8],
) -> ProbeOutcome:
    """Try the experiments.

    Args:
        model: on the device to compute on.
        pixels: the queries, uint8 (Q, C, H, W).
        codes: their codes under the model, (Q, K), as all results use them.
        center_codes: (Q, K) of +1, -1, 0.
    """
    again = encode(model, pixels).codes
    threat = Threat(Eps.parse("0"))
    images = as_images(pixels[: len(pixels)], torch.device("cpu"))
    at_eps_0 = encode(model, threat.project(images, images).numpy()).codes
    return ProbeOutcome(
        unstable=_share_moved(again, codes),
        moved=_share_moved(at_eps_0, codes),
        unbounded=_unbounded(model, pixels, center_codes),
    )


def _share_moved(found: NDArray[np.int8], codes: NDArray[np.int8]) -> float:
    return float((found != codes).any(axis=1).mean())


def _unbounded(
    model: HashModel, pixels: Pixels, center_codes: NDArray[np.int8]
) -> NDArray[np.int8]:
    """Center PGD without a bound; a model without a gradient stays where it is."""
    images = as_images(pixels[:UNBOUNDED_QUERIES], device_of(model))
    centers = torch.from_numpy(center_codes[:UNBOUNDED_QUERIES]).float().to(images.device)
    target = AttackedModel(model)

    def agreement(point: Tensor, _: int) -> Tensor:
        loss = (target.outputs(point) * centers).mean(dim=1)
        # Cut off from the image: a zero gradient, which moves nothing.
        return loss if loss.requires_grad else loss + 0 * point.flatten(1).sum(dim=1)

    with evaluating(model), frozen(model):
        found = descend(
            agreement,
            images,
            Threat(Eps.parse("1")),
            steps=UNBOUNDED_STEPS,
            update=_Decaying(),
        )
    return encode(model, found.cpu().numpy()).codes


class _Decaying:
    """Sign steps whose size falls as half a cosine."""

    def __init__(self) -> None:
        self._step = 0

    def __call__(self, point: Tensor, gradient: Tensor) -> Tensor:
        share = (1 + math.cos(math.pi * self._step / UNBOUNDED_STEPS)) / 2
        self._step += 1
        return point - FIRST_STEP * share * gradient.sign()
