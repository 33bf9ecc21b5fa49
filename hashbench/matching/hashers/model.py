"""The fixed hash of a model that hashbench trained, or that was imported into a folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import nn
from typing_extensions import override

from hashbench.matching.contract import Hasher
from hashbench.matching.networks import backbone_of, card_of, files_of, trained
from hashbench.matching.threshold import AN_EIGHTH, threshold_of
from hashbench.plugins.base import Plugin, hasher


@hasher("model")
@dataclass(frozen=True)
class Model(Hasher):
    """A trained model's codes: `--model FOLDER` is short for `--hash model:FOLDER`.

    A picture is brought to the size that the model was trained for by Pillow (bilinear, the whole
    picture, whatever its proportions; grey where the model takes one channel) and given to the
    model alone. A bit is 1 where its value is 0 or above, as everywhere in hashbench. The replica
    computes the same, with a gradient where the model has one. A model with a defense wrapped
    around it is refused.

    Attributes:
        folder: as `hashbench model export` or `import` wrote it; it is read where it lies.
        threshold: the distance up to which two pictures match; -1 is an eighth of the bits.
    """

    packages: ClassVar[tuple[str, ...]] = ("pillow", "torch")

    folder: Path
    threshold: int = AN_EIGHTH

    def __post_init__(self) -> None:
        """Read the model, so that what is wrong with it is told before any work.

        Raises:
            UsageError: it cannot be read, or the threshold is none.
        """
        object.__setattr__(self, "threshold", threshold_of(self.threshold, self.bits))

    @property
    @override
    def bits(self) -> int:
        return trained(self.folder).bits

    @override
    def reads(self) -> tuple[Path, ...]:
        return files_of(self.folder, card_of(self.folder))

    @override
    def made_of(self) -> tuple[Plugin, ...]:
        backbone = backbone_of(card_of(self.folder))
        return () if backbone is None else (backbone,)

    @override
    def verdict(self, picture: NDArray[np.uint8]) -> NDArray[np.bool_]:
        return trained(self.folder).verdict(picture)

    @override
    def replica(self, height: int, width: int) -> nn.Module | None:
        return trained(self.folder).replica()
