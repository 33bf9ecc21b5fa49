"""The data set `lists`: any folder of list files and images."""

from __future__ import annotations

from dataclasses import dataclass

from typing_extensions import override

from hashbench.data.lists.dataset import ListedDataset
from hashbench.errors import UsageError
from hashbench.plugins import dataset


@dataset("lists", cite="the list layouts of CgAT, SAAT, ProS-GAN (A) and HashNet, DeepHash (B)")
@dataclass(frozen=True)
class Lists(ListedDataset):
    """Images of your own, from list files in a folder that you name.

    Layout A: `train_img.txt`, `test_img.txt` and `database_img.txt` hold one relative path a line,
    `train_label.txt`, `test_label.txt` and `database_label.txt` one row of 0 and 1. Layout B:
    `train.txt`, `test.txt` and `database.txt` hold lines `path 0 1 0 ...`. An optional
    `classes.txt` names the label columns. Paths may hold blanks, and repeat inside a list; no query
    may be in the database. Class numbers are refused: one column for each class.

    Attributes:
        resize: short side in pixels before the crop; by default 256 for a crop of 224, as in the
            papers, and otherwise the crop, so that images of that size stay as they are.
        crop: side of the central square that models see.
        broken: what becomes of missing and undecodable images: `fail` or `exclude`.
        wide: also keep the uncropped squares (resize x resize), for trainings that crop at random.
        k: length of the ranked list that mAP is taken over; none for the whole database.
    """

    k: int | None = None

    @override
    def __post_init__(self) -> None:
        super().__post_init__()
        if self.k is not None and self.k < 1:
            raise UsageError(f"k must be 1 or more, or none, found {self.k}")

    @override
    def list_length(self) -> int | None:
        return self.k
