"""What the author of a data set implements: `Dataset`."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import ClassVar

from hashbench.data.images import RetrievalData
from hashbench.eps import Eps
from hashbench.errors import MissingDataError, UsageError
from hashbench.files import why_no_folder
from hashbench.plugins.base import Plugin
from hashbench.plugins.parameters import canonical
from hashbench.progress import Progress


class Dataset(Plugin):
    """Images with multi-hot labels, split into train, query and database."""

    needs_root: ClassVar[bool] = False
    """Whether the images lie in a folder that the user has to name."""

    top_k: ClassVar[int | None] = None
    """Length of the ranked list that mAP is taken over; `None` for the whole database."""

    eps: ClassVar[Eps] = Eps.parse("8/255")
    """The radius that a run takes when it names none."""

    def list_length(self) -> int | None:
        """Length of the ranked list; by default `top_k`."""
        return self.top_k

    def protocol_name(self) -> str:
        """What protocols call it; by default its canonical text, every parameter included."""
        return canonical(self)

    def widened(self) -> Dataset:
        """The same data with `ImageSet.wide`, for trainings that crop at random; by default itself.

        Splits, images and protocol must be the same.
        """
        return self

    def prepare(self, root: Path | None, progress: Progress) -> None:
        """Do once what makes every later `load` quick, such as decoding files; by default nothing.

        Args:
            root: as for `load`.
            progress: told (done, total), in images.

        Raises:
            UsageError: as `load`.
        """

    @abstractmethod
    def load(self, root: Path | None) -> RetrievalData:
        """Read the three splits.

        Args:
            root: the folder named by the user, `None` where the data needs none.

        Returns:
            `hashbench.data.RetrievalData`: `classes`, the names of the label columns, and `train`,
            `query` and `database`, each an `hashbench.data.ImageSet` of `images`, uint8
            (N, C, H, W), and `labels`, uint8 (N, classes) of 0 and 1. The same each time.

        Raises:
            UsageError: the folder or a file is missing or malformed.
        """

    def home(self, root: Path | None) -> Path | None:
        """What `prepare` and `load` are given of the folder that the user named.

        Raises:
            UsageError: it is needed and was not named, or there is no such folder.
        """
        if self.needs_root and root is None:
            raise MissingDataError(
                f"dataset '{self.card.name}' is read from a folder: name it with --root FOLDER"
            )
        if root is not None and not root.is_dir():
            raise UsageError(f"root {root}: {why_no_folder(root)}")
        return root if self.needs_root else None
