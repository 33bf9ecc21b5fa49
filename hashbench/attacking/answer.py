"""An attack's answer, held against its contract: all that is asked of it is read at once."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hashbench.attacking.threat import Threat
from hashbench.eps import Norm
from hashbench.errors import PluginError

ROUNDING = 1e-6
"""How far an answer may leave an L-infinity ball: float32 rounding of a pixel, no more."""


def outermost(threat: Threat, images: Tensor) -> float:
    """How far from its clean one an answer may lie: the radius, and what float32 rounds.

    In L-infinity that is `ROUNDING`. In L2 the share `ROUNDING` of the radius, for a length that
    was summed in float32, and for each pixel 2^-24, twice what its last sum rounds: sqrt(d) times
    that for d values.

    Args:
        threat: the ball.
        images: any that are of the size, (B, C, H, W).
    """
    if threat.norm is Norm.LINF:
        return threat.radius + ROUNDING
    return threat.radius * (1 + ROUNDING) + 2.0**-24 * math.sqrt(math.prod(images.shape[1:]))


class Answer:
    """What an attack returned, and what is asked of it: gathered on the device, checked later.

    Attributes:
        images: the answer, like the clean images.
        flags: on the device: whether its input was changed, whether a value is not finite, and how
            far an image is from its clean one at most.
    """

    def __init__(
        self, name: str, threat: Threat, images: Tensor, found: Tensor, given: Tensor
    ) -> None:
        """Ask the device what there is to know.

        Args:
            name: of the attack.
            threat: the ball.
            images: the clean images (B, C, H, W).
            found: what the attack returned for them, detached, of the same shape and type.
            given: the copy of the images that it was handed.
        """
        self._name, self._threat = name, threat
        self._outermost = outermost(threat, images)
        self.images = found
        # An answer beyond the box costs its author strength and is clipped; one beyond the ball
        # would be another threat, and what is left of it after clipping another attack than the
        # author's.
        distance = threat.distance(found.clamp(0, 1), images)
        self.flags = [
            (given != images).any().double(),
            (~torch.isfinite(found)).any().double(),
            distance.max() if len(images) else distance.sum(),
        ]

    def check(self, flags: Sequence[NDArray[np.float64]]) -> None:
        """Refuse an answer that breaks the contract.

        Args:
            flags: those of the answer, as `read_at_once` gives them.

        Raises:
            PluginError: it does.
        """
        changed, wild, distance = (float(flag) for flag in flags)
        name, threat = self._name, self._threat
        if changed:
            raise PluginError(f"attack '{name}' must not change its input images in place, but did")
        if wild:
            raise PluginError(
                f"attack '{name}' must return finite images, but returned NaN or infinity"
            )
        if distance > self._outermost:
            raise PluginError(
                f"attack '{name}' must stay in the ball of radius {threat.eps} "
                f"({threat.radius:.6f}), but {beyond(threat, distance)}"
            )


def beyond(threat: Threat, distance: float) -> str:
    """What an answer did that lies so far from its image: `changed a pixel by 0.040000`."""
    if threat.norm is Norm.LINF:
        return f"changed a pixel by {distance:.6f}"
    return f"changed an image by {distance:.6f} in {threat.norm}"


def read_at_once(values: Sequence[Tensor]) -> list[NDArray[np.float64]]:
    """Float64 tensors of one device as arrays, in one reading."""
    flat = torch.cat([value.flatten() for value in values]).cpu().numpy()
    ends = np.cumsum([value.numel() for value in values])
    parts = np.split(flat, ends[:-1])
    return [part.reshape(tuple(value.shape)) for part, value in zip(parts, values, strict=True)]
