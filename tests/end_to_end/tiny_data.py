"""A plugin file for the tests: a small part of `fashion`, so that a whole run takes seconds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from typing_extensions import override

from hashbench import plugins
from hashbench.data import ImageSet, RetrievalData
from hashbench.eps import Eps
from hashbench.plugins import Dataset, dataset


@dataset("tiny")
@dataclass(frozen=True)
class Tiny(Dataset):
    """The first images of fashion: 160 to train on, 93 queries, 800 to search in."""

    eps: ClassVar[Eps] = Eps.parse("24/255")

    @override
    def load(self, root: Path | None) -> RetrievalData:  # needs no folder
        whole = plugins.get("dataset", "fashion")
        assert isinstance(whole, Dataset)
        data = whole.load(None)
        return RetrievalData(
            classes=data.classes,
            train=_first(data.train, 160),
            query=_first(data.query, 93),
            database=_first(data.database, 800),
        )


def _first(images: ImageSet, count: int) -> ImageSet:
    keep = np.arange(count)
    return ImageSet(images.images[keep], images.labels[keep])
