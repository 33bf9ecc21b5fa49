"""The data set `flickr25k`: MIRFLICKR-25K in the split of the attack papers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from hashbench.data.lists.dataset import ListSizes, PublishedDataset
from hashbench.plugins import dataset


@dataset(
    "flickr25k",
    cite=(
        "Huiskes and Lew, MIRFLICKR-25000, MIR 2008, "
        "https://press.liacs.nl/mirflickr/; "
        "lists of ProS-GAN, "
        "https://arxiv.org/abs/2105.07553, and CgAT, "
        "https://arxiv.org/abs/2204.10779"
    ),
)
@dataclass(frozen=True)
class Flickr25K(PublishedDataset):
    """MIRFLICKR-25K, 38 labels, in the split of ProS-GAN, CgAT and SAAT.

    1,700 queries, 23,300 database images, 5,000 train rows out of the database; mAP@5000. The
    published train list names 4,496 distinct images, some of them up to four times; 38 queries, 95
    train rows and 381 database rows have no label at all, and such a query scores 0, so the best
    possible mAP is 0.9776. A random order scores 0.534. Root: the folder of `train_img.txt` and
    `mirflickr/`, or the one above it when that is called FLICKR-25K.

    Attributes:
        resize, crop, broken, wide: as for `lists`.
        any_size: take lists of other sizes than the published ones.
    """

    folder: ClassVar[str] = "FLICKR-25K"
    sizes: ClassVar[ListSizes] = ListSizes(query=1_700, train=5_000, database=23_300, classes=38)
