"""The data set `fashion-mnist`: all of Fashion-MNIST, from a folder that the user names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from typing_extensions import override

from hashbench.data.garments.garments import EPS, GarmentSplit
from hashbench.data.garments.idx_folder import FILES, read_idx_folder
from hashbench.data.garments.selection import pick_queries, pick_train
from hashbench.data.images import RetrievalData
from hashbench.eps import Eps
from hashbench.errors import UsageError
from hashbench.plugins import Dataset, dataset


@dataset("fashion-mnist", cite="Xiao et al., Fashion-MNIST, 2017, https://arxiv.org/abs/1708.07747")
@dataclass(frozen=True)
class FashionMNIST(Dataset):
    """All of Fashion-MNIST, from its four idx files (plain or .gz) in a folder of yours.

    The 60,000 training images are the database, in the file's order; a part of them is the train
    set. Queries come from the test images, none of them with the pixels of a database image. Images
    are grey, (1, 28, 28), with one label of ten.

    Attributes:
        train_per_class: train images of each class, from 1 to 6,000.
        queries_per_class: queries of each class, from 1 to 1,000.
    """

    train_per_class: int = 500
    queries_per_class: int = 100

    needs_root: ClassVar[bool] = True

    eps: ClassVar[Eps] = EPS

    def __post_init__(self) -> None:
        for name, most in (("train_per_class", 6_000), ("queries_per_class", 1_000)):
            value = getattr(self, name)
            if not 1 <= value <= most:
                raise UsageError(f"{name} must lie from 1 to {most:,}, found {value}")

    @override
    def load(self, root: Path | None) -> RetrievalData:
        """The three splits, in arrays that the caller owns.

        Args:
            root: the folder of the four idx files.

        Raises:
            UsageError: no folder is named, a file is missing or malformed, or a class has fewer
                images than asked for.
        """
        if root is None:
            raise UsageError(
                "data set 'fashion-mnist' needs a root: name the folder that holds "
                f"{', '.join(FILES[:-1])} and {FILES[-1]}, each plain or as .gz"
            )
        source = read_idx_folder(root)
        train = pick_train(source.train, self.train_per_class, what="train_per_class")
        query = pick_queries(
            source.test, source.train, self.queries_per_class, what="queries_per_class"
        )
        return GarmentSplit(
            database=source.train,
            train=np.sort(train.ravel()),
            query=source.test.take(np.sort(query.ravel())),
        ).retrieval_data()
