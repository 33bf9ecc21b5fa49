"""The data set `nus-wide`: NUS-WIDE's 21 most frequent concepts in the split of the papers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from typing_extensions import override

from hashbench.data.lists.dataset import ListSizes
from hashbench.data.lists.listing import ListedSplit
from hashbench.data.lists.rebuilt import RebuiltDataset
from hashbench.data.sets.nus_concepts import IMAGES, LABELS, nus_wide_database
from hashbench.plugins import dataset


@dataset(
    "nus-wide",
    cite=(
        "Chua et al., NUS-WIDE, CIVR 2009; "
        "lists of ProS-GAN, "
        "https://arxiv.org/abs/2105.07553, and CgAT, "
        "https://arxiv.org/abs/2204.10779"
    ),
)
@dataclass(frozen=True)
class NusWide(RebuiltDataset):
    """NUS-WIDE, the 21 most frequent concepts, in the split of ProS-GAN, CgAT and SAAT.

    2,100 queries, 193,734 database images, 10,500 of them the train set; mAP@5000. The database
    list is too large for the papers' repositories: where it is missing it is rebuilt from the
    official concept files (`Groundtruth/AllLabels/Labels_*.txt`, `ImageList/Imagelist.txt`) as
    every image with one of the 21 concepts that is no query, in the order of Imagelist.txt. Which
    concept a label column is, is found by comparing all 12,600 given rows. Root: the folder of the
    lists and of `images/`, or the one above it when that is called NUS-WIDE.

    Attributes:
        resize, crop, broken, wide: as for `lists`.
        any_size: take lists of other sizes than the published ones.
    """

    folder: ClassVar[str] = "NUS-WIDE"
    sizes: ClassVar[ListSizes] = ListSizes(query=2_100, train=10_500, database=193_734, classes=21)

    @override
    def lacking(self, home: Path) -> str:
        if (home / IMAGES).exists() and (home / LABELS).is_dir():
            return ""
        return (
            f"nor {IMAGES} and {LABELS}/Labels_*.txt, from which it can be rebuilt; these are "
            "ImageList.zip and Groundtruth.zip of the NUS-WIDE page"
        )

    @override
    def rebuild(
        self, home: Path, train: ListedSplit, query: ListedSplit
    ) -> tuple[ListedSplit, tuple[str, ...]]:
        return nus_wide_database(home, train, query)
