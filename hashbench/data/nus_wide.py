"""The data set `nus-wide`: NUS-WIDE's 21 most frequent concepts in the split of the papers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from hashbench.data.listed import PublishedDataset, Sizes
from hashbench.data.listing import CLASS_NAMES, Listing, class_names, read_listing, read_split
from hashbench.data.nus_concepts import IMAGES, LABELS, rebuilt_database
from hashbench.errors import UsageError
from hashbench.plugins import dataset


@dataset("nus-wide", cite="chua2009nuswide; lists of wang2021prosgan, wang2023cgat")
@dataclass(frozen=True)
class NusWide(PublishedDataset):
    """NUS-WIDE, the 21 most frequent concepts, in the split of ProS-GAN, CgAT and SAAT.

    2,100 queries, 193,734 database images, 10,500 of them the train set; mAP@5000. The database
    list is too large for the papers' repositories: where it is missing it is rebuilt from the
    official concept files (`Groundtruth/AllLabels/Labels_*.txt`, `ImageList/Imagelist.txt`) as
    every image with one of the 21 concepts that is no query, in the order of Imagelist.txt. Which
    concept a label column is, is found by comparing all 12,600 given rows. Root: the folder of the
    lists and of `images/`, or the one above it when that is called NUS-WIDE.

    Attributes:
        resize: short side in pixels before the crop; by default 256 for a crop of 224, as in the
            papers, and otherwise the crop.
        crop: side of the central square that models see.
        broken: what becomes of missing and undecodable images: `fail` or `exclude`.
        wide: also keep the uncropped squares (resize x resize), for trainings that crop at random.
        any_size: take lists of other sizes than the published ones.
    """

    top_k: ClassVar[int | None] = 5000
    folder: ClassVar[str] = "NUS-WIDE"
    sizes: ClassVar[Sizes] = Sizes(query=2_100, train=10_500, database=193_734, classes=21)

    def read(self, home: Path) -> Listing:
        """The lists; the database's rebuilt where it is missing."""
        if any((home / name).is_file() for name in ("database_img.txt", "database.txt")):
            return read_listing(home)
        train, query = read_split(home, "train"), read_split(home, "test")
        if not (home / IMAGES).is_file() or not (home / LABELS).is_dir():
            raise UsageError(
                f"{home}: neither database_img.txt (with database_label.txt) nor {IMAGES} and "
                f"{LABELS}/Labels_*.txt, from which it can be rebuilt; these are ImageList.zip and "
                "Groundtruth.zip of the NUS-WIDE page"
            )
        database, names = rebuilt_database(home, train, query)
        if (home / CLASS_NAMES).is_file():
            names = class_names(home, len(names))
        return Listing(home, train, query, database, names)
