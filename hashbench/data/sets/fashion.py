"""The data set `fashion`: a part of Fashion-MNIST that ships with the package. Touches no other."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from typing_extensions import override

from hashbench.data.garments.embedded_file import embedded
from hashbench.data.garments.garments import EPS
from hashbench.data.images import RetrievalData
from hashbench.eps import Eps
from hashbench.plugins import Dataset, dataset


@dataset("fashion", cite="Xiao et al., Fashion-MNIST, 2017, https://arxiv.org/abs/1708.07747")
@dataclass(frozen=True)
class Fashion(Dataset):
    """Fashion-MNIST's garments, one label each: a part that ships with the package.

    10,000 database images, 1,000 of each of ten classes; 2,000 of them the train set; 500 queries.
    Images are grey, (1, 28, 28). Database and train set come from the 60,000 published training
    images, queries from the 10,000 test images; no image stands in both, by content.
    """

    eps: ClassVar[Eps] = EPS

    @override
    def load(self, root: Path | None) -> RetrievalData:
        """The three splits, in arrays that the caller owns.

        Raises:
            UsageError: the embedded file is missing or damaged.
        """
        return embedded().retrieval_data()
