"""The data set `lists`: any folder of list files and images."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from typing_extensions import override

from hashbench.data.layouts.own import check_length, linked_folder
from hashbench.data.lists.dataset import ListedDataset
from hashbench.data.lists.forms import ListLabels, read_formed
from hashbench.data.lists.listing import Listing
from hashbench.plugins import dataset
from hashbench.plugins.parameters import canonical


@dataset("lists", cite="the list layouts of CgAT, SAAT, ProS-GAN (A) and HashNet, DeepHash (B)")
@dataclass(frozen=True)
class Lists(ListedDataset):
    """Images of your own, from list files in a folder that you name.

    Layout A: `train_img.txt`, `test_img.txt` and `database_img.txt` hold one relative path a line,
    `train_label.txt`, `test_label.txt` and `database_label.txt` (or `..._label_onehot.txt`) one row
    of 0 and 1. Layout B: `train.txt`, `test.txt` and `database.txt` hold lines `path 0 1 0 ...`. An
    optional `classes.txt` names the label columns. Paths may hold blanks, and repeat inside a list;
    no query may be in the database. Class numbers and names are refused unless `labels` says them.

    Attributes:
        resize: short side in pixels before the crop; by default 256 for a crop of 224, as in the
            papers, and otherwise the crop, so that images of that size stay as they are.
        crop: side of the central square that models see.
        broken: what becomes of missing and undecodable images: `fail` or `exclude`.
        wide: also keep the uncropped squares (resize x resize), for trainings that crop at random.
        k: length of the ranked list that mAP is taken over; none for the whole database.
        labels: what the labels are: `onehot`, rows of 0 and 1; `savetxt`, the same in any form of
            numbers, with -1 or 0 for absent, and commas; `numbers`, class numbers, which count the
            lines of classes.txt from 0; `names`, class names, several with commas between.
        strip: what paths begin with on another machine, and is taken off: `/home/x/data`.
        links: a folder that links may lead into; by default they may not leave the root.
    """

    k: int | None = None
    labels: ListLabels = ListLabels.ONEHOT
    strip: str | None = None
    links: Path | None = None

    @override
    def __post_init__(self) -> None:
        super().__post_init__()
        check_length(self.k)

    @override
    def list_length(self) -> int | None:
        return self.k

    @override
    def protocol_name(self) -> str:
        """Without what changes no image that is searched."""
        return canonical(replace(self, wide=False, strip=None, links=None))

    @override
    def linked(self) -> Path | None:
        return linked_folder(self.links)

    @override
    def read(self, home: Path) -> Listing:
        return read_formed(home, self.labels, self.strip)
