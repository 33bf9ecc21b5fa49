"""The data set `ms-coco`: MS-COCO 2014 in the split of the attack papers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from hashbench.data.coco_annotations import FILES, rebuilt_database
from hashbench.data.listed import PublishedDataset, Sizes
from hashbench.data.listing import CLASS_NAMES, Listing, class_names, read_listing, read_split
from hashbench.errors import UsageError
from hashbench.plugins import dataset


@dataset("ms-coco", cite="lin2014coco; lists of wang2021prosgan, wang2023cgat")
@dataclass(frozen=True)
class MSCoco(PublishedDataset):
    """MS-COCO 2014, 80 labels, in the split of ProS-GAN, CgAT and SAAT.

    5,000 queries, 117,218 database images, 10,000 of them the train set; mAP@5000. The published
    train and test lists mix train2014 and val2014; their label columns are the categories in
    alphabetical order, not by id. The database list is too large for the papers' repositories:
    where it is missing it is rebuilt from `annotations/instances_train2014.json` and
    `instances_val2014.json` as every image with a label that is no query (train2014 before
    val2014, in the files' order), after all 15,000 given rows were compared with them. Root: the
    folder of the lists, `train2014/`, `val2014/` and `annotations/`, or the one above it when that
    is called MS-COCO.

    Attributes:
        resize: short side in pixels before the crop; by default 256 for a crop of 224, as in the
            papers, and otherwise the crop.
        crop: side of the central square that models see.
        broken: what becomes of missing and undecodable images: `fail` or `exclude`.
        wide: also keep the uncropped squares (resize x resize), for trainings that crop at random.
        any_size: take lists of other sizes than the published ones.
    """

    top_k: ClassVar[int | None] = 5000
    folder: ClassVar[str] = "MS-COCO"
    sizes: ClassVar[Sizes] = Sizes(query=5_000, train=10_000, database=117_218, classes=80)

    def read(self, home: Path) -> Listing:
        """The lists; the database's rebuilt where it is missing."""
        if any((home / name).is_file() for name in ("database_img.txt", "database.txt")):
            return read_listing(home)
        train, query = read_split(home, "train"), read_split(home, "test")
        missing = [name for name in FILES if not (home / name).is_file()]
        if missing:
            raise UsageError(
                f"{home}: neither database_img.txt (with database_label.txt) nor "
                f"{' and '.join(missing)}, from which it can be rebuilt; the annotations are "
                "annotations_trainval2014.zip of cocodataset.org"
            )
        database, names = rebuilt_database(home, train, query)
        if (home / CLASS_NAMES).is_file():
            names = class_names(home, len(names))
        return Listing(home, train, query, database, names)
