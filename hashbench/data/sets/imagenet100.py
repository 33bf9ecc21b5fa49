"""The data set `imagenet100`: ImageNet's hundred classes of HashNet."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from typing_extensions import override

from hashbench.data.lists.dataset import ListedDataset
from hashbench.data.lists.listing import Listing
from hashbench.errors import UsageError
from hashbench.plugins import dataset

QUERIES, CLASSES = 5_000, 100


@dataset(
    "imagenet100",
    cite=(
        "Russakovsky et al., ImageNet, IJCV 2015, "
        "https://arxiv.org/abs/1409.0575; "
        "split of Cao et al., HashNet, ICCV 2017, "
        "https://arxiv.org/abs/1702.00758"
    ),
)
@dataclass(frozen=True)
class ImageNet100(ListedDataset):
    """A hundred classes of ImageNet, one label each, as HashNet, DeepHash and DHTA use them.

    5,000 queries; mAP@1000. The lists come in layout B (`train.txt`, `test.txt`, `database.txt`,
    lines `path 0 1 0 ...`); layout A does too. Only the number of queries and classes is checked:
    published train and database lists differ. Root: the folder of the lists, with the images below
    it, or the one above when that is called ImageNet-100.

    Attributes:
        resize, crop, broken, wide: as for `lists`.
        any_size: take another number of queries or classes.
    """

    any_size: bool = False

    top_k: ClassVar[int | None] = 1000
    folder: ClassVar[str] = "ImageNet-100"

    @override
    def listing(self, root: Path | None) -> Listing:
        """The lists, checked.

        Raises:
            UsageError: as `ListedDataset.listing`; the number of queries or classes differs.
        """
        listing = super().listing(root)
        found = (len(listing.query), len(listing.classes))
        if found != (QUERIES, CLASSES) and not self.any_size:
            raise UsageError(
                f"{listing.root}: the lists have {found[0]:,} queries and {found[1]} classes, but "
                f"data set 'imagenet100' has {QUERIES:,} and {CLASSES}; if another split is "
                "meant, say so: imagenet100:any_size=true"
            )
        return listing
