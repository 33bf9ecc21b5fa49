"""The data set `ms-coco`: MS-COCO 2014 in the split of the attack papers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from typing_extensions import override

from hashbench.data.lists.dataset import ListSizes
from hashbench.data.lists.listing import ListedSplit
from hashbench.data.lists.rebuilt import RebuiltDataset
from hashbench.data.sets.coco_annotations import FILES, coco_database
from hashbench.plugins import dataset


@dataset(
    "ms-coco",
    cite=(
        "Lin et al., Microsoft COCO, ECCV 2014, "
        "https://arxiv.org/abs/1405.0312; "
        "lists of ProS-GAN, "
        "https://arxiv.org/abs/2105.07553, and CgAT, "
        "https://arxiv.org/abs/2204.10779"
    ),
)
@dataclass(frozen=True)
class MSCoco(RebuiltDataset):
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
        resize, crop, broken, wide: as for `lists`.
        any_size: take lists of other sizes than the published ones.
    """

    folder: ClassVar[str] = "MS-COCO"
    sizes: ClassVar[ListSizes] = ListSizes(query=5_000, train=10_000, database=117_218, classes=80)

    @override
    def lacking(self, home: Path) -> str:
        missing = [name for name in FILES if not (home / name).exists()]
        if not missing:
            return ""
        return (
            f"nor {' and '.join(missing)}, from which it can be rebuilt; the annotations are "
            "annotations_trainval2014.zip of cocodataset.org"
        )

    @override
    def rebuild(
        self, home: Path, train: ListedSplit, query: ListedSplit
    ) -> tuple[ListedSplit, tuple[str, ...]]:
        return coco_database(home, train, query)
