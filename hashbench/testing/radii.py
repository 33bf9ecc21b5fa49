"""The norms and radii at which attacks are tried: the same sizes in both norms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from hashbench.attacking.contract import Attack
from hashbench.eps import Eps, Norm


@dataclass(frozen=True)
class Radii:
    """Of one norm.

    Attributes:
        zero: of a ball that is its image.
        usual: of what is asked of any answer.
        strong: where an attack has to move the mAP of a small model.
        stronger: twice that.
        threshold: where a bit of the linear hash flips, in `[0, 1]` pixels.
    """

    zero: Eps
    usual: Eps
    strong: Eps
    stronger: Eps
    threshold: float


# A change of 8/255 in each of the 192 values of an image is 0.43 long; the others follow.
RADII: Final[Mapping[Norm, Radii]] = MappingProxyType(
    {
        Norm.LINF: Radii(
            zero=Eps.parse("0"),
            usual=Eps.parse("8/255"),
            strong=Eps.parse("16/255"),
            stronger=Eps.parse("32/255"),
            threshold=2 / 255,
        ),
        Norm.L2: Radii(
            zero=Eps.parse("l2:0"),
            usual=Eps.parse("l2:0.4"),
            strong=Eps.parse("l2:0.8"),
            stronger=Eps.parse("l2:1.6"),
            threshold=0.1,
        ),
    }
)


def norms_of(attack: Attack) -> tuple[Norm, ...]:
    """Those of its card, L-infinity first; L-infinity alone where it names none."""
    return tuple(norm for norm in Norm if norm in attack.card.norms) or (Norm.LINF,)
